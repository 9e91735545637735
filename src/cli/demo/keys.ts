import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface DemoKeys {
  /** 32 bytes in base64, as RELAY_MASTER_KEY takes them. */
  readonly masterKey: string;
  readonly jwtSecret: string;
}

/** The keys of the demo's own folder, made at its first start. */
export async function demoKeys(folder: string): Promise<DemoKeys> {
  const path = join(folder, 'keys-of-the-demo.json');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  try {
    return JSON.parse(await readFile(path, 'utf8')) as DemoKeys;
  } catch {
    const keys = { masterKey: key(), jwtSecret: key() };
    await writeFile(path, `${JSON.stringify(keys)}\n`, { mode: 0o600, flag: 'w' });
    return keys;
  }
}

function key(): string {
  return randomBytes(32).toString('base64');
}
