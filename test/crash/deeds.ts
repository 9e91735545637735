import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CallApi } from '../../src/client/relay-api.ts';
import { realDisk } from '../../src/store/file/disk.ts';
import { restore } from '../../src/store/file/restore.ts';
import { verifyLog } from '../../src/store/file/verify.ts';
import { audited } from './audits.ts';
import { pollAll } from './intake.ts';
import { pause } from './pause.ts';
import { rareDeeds } from './rare-deeds.ts';
import type { RelayLife } from './relay.ts';
import { stir } from './stir.ts';
import type { Town } from './town.ts';
import type { Deed } from './trials.ts';

/** A relay at work, and the town round it. */
export interface Scene {
  readonly town: Town;
  readonly relay: RelayLife;
  readonly call: CallApi;
  /** Counts the lives on one data folder, from 1. */
  readonly life: number;
}

/** What was made ready. */
export interface Prepared {
  /** Makes the points of a deed come by; ends early when the process does. */
  perform(): Promise<void>;
  /** @returns what is not as it was told to be, once the next process has recovered. */
  check?(after: CallApi): Promise<readonly string[]>;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
/** Longer than anything is kept that is not open. */
const keptMs = 40 * dayMs;

/** What has to be so before the doom is armed. */
export async function prepare(deed: Deed, scene: Scene): Promise<Prepared> {
  if (deed in rareDeeds) return rareDeeds[deed as keyof typeof rareDeeds](scene);
  await makeReady(deed, scene);
  const performed = { perform: () => perform(deed, scene) };
  return deed === 'audit' ? { ...performed, check: audited } : performed;
}

async function makeReady(deed: Deed, { town, relay, call }: Scene): Promise<void> {
  switch (deed) {
    case 'retention':
      await oweOne(town, call);
      // Two looks that agree about the time, so that it is trusted.
      for (const ms of [2 * minuteMs, dayMs + hourMs]) {
        relay.advance(ms);
        await pause(300);
      }
      return;
    case 'audit':
      // Polls look back a few days only, and all of these lie behind the stream's start.
      if (town.aheadMs < 8 * dayMs) relay.advance(8 * dayMs);
      await pollAll(town, call);
      await pause(1_000);
      town.happenLate();
      return;
    case 'secret rotation':
      await town.registered(call);
      return;
    default:
      return;
  }
}

async function perform(deed: Deed, scene: Scene): Promise<void> {
  const { town, relay, call, life } = scene;
  switch (deed) {
    case 'new day':
      relay.advance(dayMs);
      break;
    case 'retention':
      return beOld(scene);
    case 'audit':
      await audited(call);
      return;
    case 'secret rotation':
      await rotateSecret(town, call);
      break;
    case 'backup':
      await Promise.all([stir(town, call, life), relay.backUp(backupPath(town))]);
      return;
    case 'stop':
      await stir(town, call, life);
      relay.stop();
      return;
    case 'memory':
      relay.swell();
      break;
    default:
      break;
  }
  await stir(town, call, life);
}

/**
 * What a deed left beside the store: a backup is there as a whole or not at all.
 *
 * @throws Error
 */
export async function inspect(deed: Deed, { town, relay }: Pick<Scene, 'town' | 'relay'>): Promise<void> {
  if (deed !== 'backup') return;
  const from = backupPath(town);
  const to = join(town.folder, 'restored');
  try {
    const isThere = (await realDisk.list(town.folder)).includes('store.tar');
    if (!isThere && relay.backedUp === null)
      throw new Error('a backup that was told to be made is not there');
    if (!isThere) return;
    await restore(realDisk, { from, to, keysFrom: null, now: town.now() });
    const { damagedBodies } = await verifyLog(realDisk, to, town.masterKeys);
    if (damagedBodies.count > 0) throw new Error(`the backup holds damage: ${damagedBodies.first[0]}`);
  } finally {
    for (const path of [from, to]) rmSync(path, { recursive: true, force: true });
  }
}

/** One delivery that stays open, with the answer that it got. */
async function oweOne(town: Town, call: CallApi): Promise<void> {
  const { id, ledger } = await town.registered(call);
  const before = ledger.receipts.length;
  ledger.isClosed = true;
  town.happen();
  await pollAll(town, call);
  for (let left = 40; left > 0 && ledger.receipts.length === before; left--) await pause(50);
  // Its result is recorded meanwhile.
  await pause(100);
  await town.post(call, `/v1/subscribers/${id}/pause`);
  ledger.isClosed = false;
}

/** All that is not open grows too old; ids go once a sweep has not listed them. */
async function beOld({ town, relay, call }: Scene): Promise<void> {
  relay.advance(keptMs);
  if (await relay.ends(800)) return;
  for (let looks = 3; looks > 0; looks--) {
    await pollAll(town, call);
    if (await relay.ends(700)) return;
    relay.advance(7 * hourMs);
    if (await relay.ends(800)) return;
  }
}

async function rotateSecret(town: Town, call: CallApi): Promise<void> {
  const { id, ledger } = await town.registered(call);
  const secret = `whsec_${randomBytes(32).toString('base64')}`;
  ledger.offered(secret);
  await call({ method: 'POST', path: `/v1/subscribers/${id}/rotate-secret`, body: { secret } });
  ledger.rotatedTo(secret);
}

function backupPath(town: Town): string {
  return join(town.folder, 'store.tar');
}
