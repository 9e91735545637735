import { type Random, seededRandom, seedOf } from '../../src/sandbox/random.ts';
import { type FileSystem, MountedDisk, whyNoDisk } from './mounted-disk.ts';
import { pause } from './pause.ts';
import { RelayLife } from './relay.ts';
import { stir } from './stir.ts';
import { Town } from './town.ts';

/** What is done to a disk while the relay works on it. */
type Trouble = 'full and freed' | 'full, killed and freed' | 'power cut at rest' | 'power cut in mid-write';

/** One line of the printed table. */
export interface DiskRow {
  readonly disk: FileSystem;
  readonly trouble: Trouble;
  tried: number;
  lost: number;
  wrong: number;
  repeats: number;
  readonly recoverMs: number[];
}

export interface AskDisks {
  readonly program: string;
  readonly seed: number;
  /** Times that each trouble comes to each disk. */
  readonly times: number;
  /** Only what begins so: `ext4: power cut`. */
  readonly only: string;
  readonly onFault: (fault: string) => void;
  readonly onSkipped: (disk: FileSystem, why: string) => void;
}

const disks: readonly { readonly disk: FileSystem; readonly troubles: readonly Trouble[] }[] = [
  { disk: 'tmpfs', troubles: ['full and freed', 'full, killed and freed'] },
  { disk: 'ext4', troubles: ['power cut at rest', 'power cut in mid-write'] },
  { disk: 'xfs', troubles: ['power cut at rest', 'power cut in mid-write'] },
];

/** Fills real disks up and takes their power away while the relay works on them; the disks at once, the troubles in turn. */
export async function tryRealDisks({
  program,
  seed,
  times,
  only,
  onFault,
  onSkipped,
}: AskDisks): Promise<readonly DiskRow[]> {
  const rows: DiskRow[] = [];
  const ended = await Promise.allSettled(
    disks.map(async ({ disk, ...all }) => {
      const troubles = all.troubles.filter((trouble) => `${disk}: ${trouble}`.startsWith(only));
      if (troubles.length === 0) return;
      const why = whyNoDisk(disk);
      if (why !== null) {
        onSkipped(disk, why);
        return;
      }
      const random = seededRandom(seedOf(seed, disk));
      const town = await Town.open(seedOf(seed, `vendor of ${disk}`), random);
      const mounted = new MountedDisk(disk, town.folder);
      try {
        const lives = new DiskLives(program, town, mounted, random);
        await lives.recover(null);
        for (const trouble of troubles) {
          const row: DiskRow = { disk, trouble, tried: 0, lost: 0, wrong: 0, repeats: 0, recoverMs: [] };
          rows.push(row);
          for (let time = 0; time < times; time++) {
            const fault = await lives.live(row);
            if (fault !== null) onFault(`${disk}, ${trouble}: ${fault}`);
          }
        }
      } finally {
        mounted.close();
        await town.close();
      }
    }),
  );
  const failed = ended.find((each) => each.status === 'rejected');
  if (failed) throw failed.reason;
  return rows;
}

class DiskLives {
  readonly #program: string;
  readonly #town: Town;
  readonly #disk: MountedDisk;
  readonly #random: Random;
  #life = 0;
  #repeatsBefore = 0;

  constructor(program: string, town: Town, disk: MountedDisk, random: Random) {
    this.#program = program;
    this.#town = town;
    this.#disk = disk;
    this.#random = random;
  }

  /** @returns what was wrong, in words. */
  async live(row: DiskRow): Promise<string | null> {
    row.tried += 1;
    this.#life += 1;
    try {
      await this.#meet(row.trouble);
      await this.recover(row);
      return null;
    } catch (error) {
      row.wrong += 1;
      return error instanceof Error ? error.message : String(error);
    }
  }

  async recover(row: DiskRow | null): Promise<void> {
    const began = performance.now();
    const relay = new RelayLife(this.#program, this.#town);
    try {
      const call = await this.#up(relay);
      row?.recoverMs.push(performance.now() - began);
      await this.#town.settle(call);
      const { lost, wrong, repeats } = await this.#town.verdict(call);
      if (row) {
        row.lost += lost.length;
        row.repeats += repeats - this.#repeatsBefore;
      }
      this.#repeatsBefore = repeats;
      const found = [...lost.map((each) => `lost: ${each}`), ...wrong];
      if (found.length > 0) throw new Error(found.slice(0, 5).join('; '));
    } finally {
      await relay.kill();
    }
  }

  async #meet(trouble: Trouble): Promise<void> {
    const relay = new RelayLife(this.#program, this.#town);
    try {
      const call = await this.#up(relay);
      const { url } = relay;
      if (url === null) return;
      switch (trouble) {
        case 'full and freed':
          await this.#beFull(relay, url);
          this.#disk.free();
          await until('it is ready again', () => isReady(url));
          await this.#town.settle(call);
          if (relay.exit !== null) throw new Error('it ended on a full disk');
          return;
        case 'full, killed and freed':
          await this.#beFull(relay, url);
          await relay.kill();
          await this.#startFull();
          this.#disk.free();
          return;
        case 'power cut at rest':
          void stir(this.#town, call, this.#life).catch(() => {});
          await pause(this.#random.int(1, 900));
          relay.freeze();
          this.#disk.copy();
          await relay.kill();
          this.#disk.mountCopy();
          return;
        case 'power cut in mid-write':
          void stir(this.#town, call, this.#life).catch(() => {});
          await pause(this.#random.int(1, 900));
          this.#disk.cutPower();
          if (!(await relay.ends(15_000))) throw new Error('it went on without a disk');
          if (relay.exit?.code !== 1) throw new Error(`it ended with ${JSON.stringify(relay.exit)}`);
          this.#disk.mountAgain();
          return;
      }
    } finally {
      await relay.kill();
      this.#disk.free();
      this.#town.refusals.splice(0);
    }
  }

  /** Fills the disk while the relay works on it; resolves when the relay stands as it should. */
  async #beFull(relay: RelayLife, url: string): Promise<void> {
    const call = this.#town.api(url);
    void stir(this.#town, call, this.#life).catch(() => {});
    await pause(this.#random.int(1, 300));
    this.#disk.fill(this.#random.int(0, 3) * 4096);
    await until('it says that it is not ready', async () => !(await isReady(url)));
    const codeOf = async (asked: Promise<unknown>) =>
      asked.then(
        () => 'done',
        (error: { code?: string }) => error.code,
      );
    const written = await codeOf(call({ method: 'POST', path: '/v1/tokens/revoke', body: { jti: 'full' } }));
    if (written !== 'disk_full') throw new Error(`a write to a full disk: ${written}`);
    const read = await codeOf(call({ method: 'GET', path: '/v1/deliveries' }));
    if (read !== 'done') throw new Error(`a read beside a full disk: ${read}`);
    // What was under way when the disk became full ends first.
    const { fullscript } = this.#town.sandbox;
    let asked = -1;
    await until('it asks nothing more of Fullscript', async () => {
      const before = asked;
      asked = fullscript.requests().all;
      if (asked !== before) await pause(2_500);
      return asked === before;
    });
    if (relay.exit !== null) throw new Error('it ended on a full disk');
  }

  /** It says what is wrong and ends, or it waits for space and goes on by itself. */
  async #startFull(): Promise<void> {
    const relay = new RelayLife(this.#program, this.#town);
    try {
      if (await relay.ends(3_000)) {
        if (relay.exit?.code !== 1 || relay.failed === null) {
          throw new Error(`start on a full disk: ${JSON.stringify(relay.exit)} ${relay.output.join('')}`);
        }
        return;
      }
      this.#disk.free();
      await this.#up(relay);
    } finally {
      await relay.kill();
    }
  }

  async #up(relay: RelayLife) {
    const call = await relay.up();
    if (!call) throw new Error(`did not start: ${relay.failed} ${relay.output.slice(-3).join('')}`);
    return call;
  }
}

async function isReady(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/readyz`, { headers: { connection: 'close' } });
  await answer.arrayBuffer();
  return answer.ok;
}

/** @throws Error naming what did not come about within 15 s. */
async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (let left = 150; !(await isSo()); left--) {
    if (left === 0) throw new Error(`waited in vain until ${what}`);
    await pause(100);
  }
}
