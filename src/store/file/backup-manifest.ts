import { createHash } from 'node:crypto';

/** The last file of a backup: what a whole one holds. */
export interface Manifest {
  readonly format: 1;
  /** `null` when the store had no checkpoint yet. */
  readonly storeId: string | null;
  /** Epoch milliseconds. */
  readonly takenAt: number;
  readonly files: readonly BackedUpFile[];
}

export interface BackedUpFile {
  readonly name: string;
  readonly bytes: number;
  /** In hex. */
  readonly sha256: string;
}

export const manifestName = 'backup.json';

/** Larger ones are no manifest. */
export const manifestBytesMax = 16 * 1024 * 1024;

export function manifestText(manifest: Manifest): string {
  const body = JSON.stringify(manifest);
  return `{"sha256":"${digestOf(body)}","backup":${body}}\n`;
}

/** `null` when it is not one, or not whole. */
export function readManifest(text: string): Manifest | null {
  try {
    const { backup } = JSON.parse(text) as { backup: Manifest };
    return backup.format === 1 && manifestText(backup) === text ? backup : null;
  } catch {
    return null;
  }
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
