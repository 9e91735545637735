import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from './disk.ts';

/**
 * File systems that may be shared between machines, by the type that the kernel gives.
 * On them a lock may bind one machine only, or be lost, and a sync may promise too much.
 *
 * Source: statfs(2).
 */
const networkDisks: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xfe534d42, 'SMB'],
  [0xff534d42, 'SMB'],
  [0x65735546, 'FUSE'],
  [0x01021997, '9P'],
  [0x00c36400, 'Ceph'],
  [0x5346414f, 'AFS'],
]);

/** @param type as `statfs` gives it, which may be negative. */
export function networkDiskName(type: number): string | null {
  return networkDisks.get(type >>> 0) ?? null;
}

/** The name of the network file system that a folder is on, or will be on once it is made; `null` for a disk of this machine. */
export async function networkDiskOf(folder: string): Promise<string | null> {
  for (let path = folder; ; path = dirname(path)) {
    try {
      return networkDiskName((await statfs(path)).type);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || dirname(path) === path) return null;
    }
  }
}
