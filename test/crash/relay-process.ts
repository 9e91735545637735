import { readFileSync } from 'node:fs';
import { loadConfig } from '../../src/config.ts';
import { RelayError } from '../../src/domain/errors.ts';
import { jsonLogger } from '../../src/logger.ts';
import { startRelay } from '../../src/main.ts';
import { backUp } from '../../src/store/file/backup.ts';
import { realDisk } from '../../src/store/file/disk.ts';
import { type Doom, doomedDisk, Fate } from './doom.ts';
import { movableClock } from './movable-clock.ts';

/** What the parent may say while the relay runs. */
export type Order =
  | { readonly arm: Doom | null }
  | { readonly advanceMs: number }
  /** Copies the store into this file. */
  | { readonly backUpTo: string }
  /** Takes memory until there is none. */
  | { readonly swell: true }
  | { readonly stop: true };

/** What the relay's process says. */
export type News =
  | { readonly url: string }
  | { readonly met: true }
  | { readonly failed: string }
  | { readonly armed: true }
  /** The error's code; `null` when it is whole and durable. */
  | { readonly backedUp: string | null };

/**
 * `relay serve` as a program of its own, put together as always but for a disk on which a
 * doom can be met and a clock that can be put ahead.
 */
const [, , configPath = '', doomJson = 'null', clockAheadMs = '0'] = process.argv;

const tell = (news: News) => process.send?.(news);
const fate = new Fate(() => tell({ met: true }));
fate.arm(JSON.parse(doomJson) as Doom | null);
const clock = movableClock(Number(clockAheadMs));
const disk = doomedDisk(realDisk, fate);

process.on('message', (order: Order) => {
  if ('arm' in order) {
    fate.arm(order.arm);
    tell({ armed: true });
  } else if ('advanceMs' in order) clock.advance(order.advanceMs);
  else if ('backUpTo' in order) void copyTo(order.backUpTo);
  else if ('swell' in order) swell();
  else void stop();
});
process.on('disconnect', () => process.exit(3));

let stop = async () => {};
let copyTo = async (_: string) => {};
try {
  const config = loadConfig({
    path: configPath,
    env: process.env,
    readFile: (path) => readFileSync(path, 'utf8'),
  });
  const relay = await startRelay({ config, logger: jsonLogger('warn'), clock, disk });
  stop = async () => {
    await relay.stop();
    process.exit(0);
  };
  copyTo = (to) =>
    backUp(disk, { from: config.store.path, to, keysTo: null, now: clock.wall() }).then(
      () => void tell({ backedUp: null }),
      (error: { code?: string }) => void tell({ backedUp: error.code ?? String(error) }),
    );
  tell({ url: relay.url });
  await relay.failed;
} catch (error) {
  const news: News = { failed: error instanceof RelayError ? error.code : String(error) };
  process.send?.(news, () => process.exit(1));
}

function swell(): void {
  const kept: number[][] = [];
  // Bounded by the heap, which is far smaller.
  for (let left = 10_000; left > 0; left--) kept.push(new Array(1_000_000).fill(left));
  tell({ failed: `${kept.length} times a million numbers fit into the heap` });
}
