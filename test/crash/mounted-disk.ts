import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { codeOf } from '../../src/store/file/disk.ts';
import { cleared, leaves } from './leftovers.ts';

export type FileSystem = 'tmpfs' | 'ext4' | 'xfs';

const tmpfsBytes = 8 * 1024 * 1024;
/** The least that mkfs.xfs accepts is 300 MiB; what is not written takes no room. */
const imageBytes = 320 * 1024 * 1024;
const copiesMax = 20;

/** Why this machine cannot have such a disk, in words; `null` when it can. */
export function whyNoDisk(fileSystem: FileSystem): string | null {
  if (process.platform !== 'linux') return 'this is not Linux';
  if (process.getuid?.() !== 0) return 'only root may mount';
  const needed = fileSystem === 'tmpfs' ? ['mount'] : ['mount', `mkfs.${fileSystem}`, 'cmp', 'perl'];
  const missing = needed.filter((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
  if (missing.length > 0) return `${missing.join(', ')} not installed`;
  const folder = mkdtempSync(join(tmpdir(), 'relay-mount-'));
  try {
    new MountedDisk(fileSystem, folder).close();
    return null;
  } catch (error) {
    return `it cannot be mounted: ${error instanceof Error ? error.message.trim() : error}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * A real disk of its own at `<folder>/data`. All but tmpfs lie in an image file beside it,
 * which holds exactly what the file system has written out: what a power cut leaves.
 */
export class MountedDisk {
  readonly path: string;
  readonly #fileSystem: FileSystem;
  readonly #image: string;
  #isMounted = false;

  constructor(fileSystem: FileSystem, folder: string) {
    this.#fileSystem = fileSystem;
    this.#image = join(folder, 'disk.img');
    this.path = join(folder, 'data');
    mkdirSync(this.path);
    if (fileSystem !== 'tmpfs') {
      writeFileSync(this.#image, '');
      truncateSync(this.#image, imageBytes);
      run(`mkfs.${fileSystem}`, '-q', this.#image);
    }
    this.#mount();
  }

  /** Takes all the space there is but about `leftBytes`. */
  fill(leftBytes: number): void {
    const { bfree, bsize } = statfsSync(this.path);
    try {
      writeFileSync(join(this.path, 'ballast'), Buffer.alloc(Math.max(0, bfree * bsize - leftBytes)));
    } catch (error) {
      // The relay took some of it in the same moment.
      if (codeOf(error) !== 'ENOSPC') throw error;
    }
  }

  free(): void {
    rmSync(join(this.path, 'ballast'), { force: true });
  }

  /** Now, in the middle of whatever is written: from here on the disk answers EIO until `mountAgain`. */
  cutPower(): void {
    // FS_IOC_SHUTDOWN without a last write of the file system's own journal.
    const shutDown = 'my $how = pack("L", 2); open(D, "<", $ARGV[0]) && ioctl(D, 0x8004587D, $how) or die $!';
    run('perl', '-e', shutDown, this.path);
  }

  mountAgain(): void {
    this.#unmount();
    this.#mount();
  }

  /** What the disk holds at this moment. Whoever writes to it must stand still: the copy is made in one go. */
  copy(): void {
    for (let made = 0; made < copiesMax; made++) {
      run('cp', '--sparse=always', this.#image, this.#copy);
      // The kernel writes behind the back of a process that stands still; then it was no moment.
      if (spawnSync('cmp', ['-s', this.#image, this.#copy]).status === 0) return;
    }
    throw new Error(`${this.#image} changed whenever it was copied`);
  }

  /** Goes on from the copy; what was written since then never was. */
  mountCopy(): void {
    this.#unmount();
    renameSync(this.#copy, this.#image);
    this.#mount();
  }

  close(): void {
    if (this.#isMounted) this.#unmount();
    rmSync(this.#image, { force: true });
    rmSync(this.#copy, { force: true });
  }

  get #copy(): string {
    return `${this.#image}.copy`;
  }

  #mount(): void {
    if (this.#fileSystem === 'tmpfs')
      run('mount', '-t', 'tmpfs', '-o', `size=${tmpfsBytes}`, 'tmpfs', this.path);
    else run('mount', '-o', 'loop', this.#image, this.path);
    // Whoever still has a file open there may keep it: the mount goes with the last of them.
    leaves(this.path, () => spawnSync('umount', ['--lazy', this.path]));
    this.#isMounted = true;
  }

  #unmount(): void {
    run('umount', this.path);
    cleared(this.path);
    this.#isMounted = false;
  }
}

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
