import { readFileSync } from 'node:fs';
import { type Clock, systemClock } from '../../src/clock.ts';
import { loadConfig } from '../../src/config.ts';
import { RelayError } from '../../src/domain/errors.ts';
import { jsonLogger } from '../../src/logger.ts';
import { startRelay } from '../../src/main.ts';
import { realDisk } from '../../src/store/file/disk.ts';
import { type Doom, doomedDisk, Fate } from './doom.ts';

/** What the parent may say while the relay runs. */
export type Order =
  | { readonly arm: Doom | null }
  | { readonly clockAheadMs: number }
  | { readonly stop: true };

/** What the relay's process says. */
export type News =
  | { readonly url: string }
  | { readonly met: true }
  | { readonly failed: string }
  | { readonly armed: true };

/**
 * `relay serve` as a program of its own, put together as always but for a disk on which a
 * doom can be met and a clock that can be put ahead.
 */
const [, , configPath = '', doomJson = 'null', clockAheadMs = '0'] = process.argv;

const tell = (news: News) => process.send?.(news);
const fate = new Fate(() => tell({ met: true }));
fate.arm(JSON.parse(doomJson) as Doom | null);
let aheadMs = Number(clockAheadMs);

const real = systemClock();
const clock: Clock = { ...real, now: () => real.now() + aheadMs };

process.on('message', (order: Order) => {
  if ('arm' in order) {
    fate.arm(order.arm);
    tell({ armed: true });
  } else if ('clockAheadMs' in order) aheadMs = order.clockAheadMs;
  else void stop();
});
process.on('disconnect', () => process.exit(3));

let stop = async () => {};
try {
  const config = loadConfig({
    path: configPath,
    env: process.env,
    readFile: (path) => readFileSync(path, 'utf8'),
  });
  const relay = await startRelay({
    config,
    logger: jsonLogger('warn'),
    clock,
    disk: doomedDisk(realDisk, fate),
  });
  stop = async () => {
    await relay.stop();
    process.exit(0);
  };
  tell({ url: relay.url });
  await relay.failed;
} catch (error) {
  const news: News = { failed: error instanceof RelayError ? error.code : String(error) };
  process.send?.(news, () => process.exit(1));
}
