import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';

const relayCommand = resolve(import.meta.dirname, '../../dist/cli/index.js');

for (const { fault, because } of [
  { fault: 'throw new TypeError(canary)', because: 'an exception' },
  { fault: 'Promise.reject(new TypeError(canary))', because: 'a rejection' },
]) {
  test(`case 33: ${because} that nobody handles ends the command with 1 and one line without what it was about`, async () => {
    const bug = `const canary = 'Canary-Zoe'; process.on('SIGUSR2', () => { ${fault} })`;
    const command = [relayCommand, 'sandbox', '--port', '0', '--events-per-minute', '0'];
    const child = spawn(process.execPath, [
      '--import',
      `data:text/javascript,${encodeURIComponent(bug)}`,
      ...command,
    ]);
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const ended = new Promise<number | null>((done) => child.once('close', (code) => done(code)));
    await new Promise((started) => child.stdout.once('data', started));
    child.kill('SIGUSR2');
    expect(await ended).toBe(1);
    expect(said).toMatch(/^relay: The relay has a fault \(TypeError.*\n$/);
    expect(said).not.toContain('Canary');
  }, 30_000);
}
