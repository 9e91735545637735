import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { deliveryIdOf } from '../../src/domain/delivery.ts';
import { backUp } from '../../src/store/file/backup.ts';
import { realDisk } from '../../src/store/file/disk.ts';
import { KeyRing } from '../../src/store/file/keys.ts';
import { restore } from '../../src/store/file/restore.ts';
import { readTarHeader, writeTarHeader } from '../../src/store/file/tar.ts';
import { verifyLog } from '../../src/store/file/verify.ts';
import type { Store } from '../../src/store/store.ts';
import { simulatedClock } from '../world/clock.ts';
import { folder, interrupted, SimulatedDisk, seededRandom, storeOn } from '../world/disk.ts';
import { accepted, anEvent, aSubscriber, claim, furnished, pollOf, record, refused } from './fixtures.ts';

const noon = Date.parse('2026-11-22T12:00:00Z');
const masterKeys = { current: Buffer.alloc(32, 7), previous: null };
const all = { limit: 1_000, cursor: null };
const file = '/backups/log.backup';
const elsewhere = '/elsewhere';

const connection = {
  id: 'con_1',
  clinicId: 'clinic-1',
  name: 'Washington',
  origin: { kind: 'refreshToken' },
  tokens: { accessToken: 'canary-access', refreshToken: 'canary-refresh', expiresAt: 10 },
  spareTokens: null,
  declaredDigest: null,
  state: 'working',
  stateReason: null,
  refreshedAt: null,
  createdAt: 0,
} as const;

async function furnishedDisk() {
  const clock = simulatedClock(noon);
  const disk = new SimulatedDisk();
  await disk.makeFolder('/backups');
  const store = await storeOn(disk, clock);
  await furnished(store);
  await store.saveConnection(connection);
  await record(store, [anEvent('e1'), anEvent('e2'), anEvent('e3')]);
  const [first, second] = await claim(store, 2);
  if (first) await store.recordAttempt(first, accepted);
  if (second) await store.recordAttempt(second, refused);
  return { clock, disk, store };
}

const backUpOf = (disk: SimulatedDisk, to = file, keysTo: string | null = null) =>
  backUp(disk, { from: folder, to, keysTo, now: noon + 1_000 });
const restoreOn = (disk: SimulatedDisk, from = file, keysFrom: string | null = null) =>
  restore(disk, { from, to: elsewhere, keysFrom, now: noon + 2_000 });

/** What the log says, whatever is paused. */
async function contents(store: Store) {
  const { items } = await store.deliveries({}, all);
  const events = (await store.events({}, all)).items;
  const bodies = await Promise.all(events.map(({ clinicId, id }) => store.eventBody(clinicId, id)));
  const attempts = await Promise.all(items.map(({ id }) => store.attempts(id)));
  return { items, events, bodies, attempts };
}

describe('a backup', () => {
  test('is one file that a restore makes the same log of, with all that was recorded', async () => {
    const { clock, disk, store } = await furnishedDisk();
    expect(await backUpOf(disk)).toMatchObject({ files: 4, bytes: disk.contents(file).length });
    expect(await restoreOn(disk)).toMatchObject({ files: 4, takenAt: noon + 1_000 });
    const restored = await storeOn(disk, clock, { path: elsewhere });
    expect(await contents(restored)).toEqual(await contents(store));
    await restored.close();
    expect((await verifyLog(disk, elsewhere, masterKeys)).damagedBodies.count).toBe(0);
  });

  test('can be made at every moment of a relay that works, and each opens to what was synced by then', async () => {
    const { clock, disk, store } = await furnishedDisk();
    const told = new Set<string>();
    const backups: { readonly disk: SimulatedDisk; readonly told: ReadonlySet<string> }[] = [];
    disk.hook = () => {
      backups.push({ disk: disk.kill(), told: new Set(told) });
      return null;
    };
    for (let day = 0; day < 2; day++) {
      for (let made = 0; made < 3; made++) {
        const id = `day${day}-${made}`;
        await record(store, [anEvent(id)]);
        told.add(id);
      }
      await clock.advance(86_400_000);
    }
    expect(backups.length).toBeGreaterThan(30);
    for (const moment of backups) {
      await backUpOf(moment.disk);
      await restoreOn(moment.disk);
      const restored = await storeOn(moment.disk, clock, { path: elsewhere });
      const known = new Set((await restored.events({}, all)).items.map(({ id }) => id));
      expect([...moment.told].filter((id) => !known.has(id))).toEqual([]);
    }
  });

  test('is whole also when the relay works through a day between any two of its operations', async () => {
    let isReached = true;
    for (let at = 0; isReached; at++) {
      const { clock, disk, store } = await furnishedDisk();
      let operations = 0;
      const busy = interrupted(disk, async () => {
        if (operations++ !== at) return;
        await record(store, [anEvent('before midnight')]);
        await clock.advance(86_400_000);
        await record(store, [anEvent('after midnight')]);
      });
      await backUp(busy, { from: folder, to: file, keysTo: null, now: noon });
      isReached = operations > at;
      await restoreOn(disk);
      await (await storeOn(disk, clock, { path: elsewhere })).close();
      const { damagedBodies } = await verifyLog(disk, elsewhere, masterKeys);
      expect(damagedBodies.count, `operation ${at}`).toBe(0);
      if (!isReached) expect(at).toBeGreaterThan(12);
    }
  });

  test('never lacks a file of bodies without having what was recorded before it was taken away', async () => {
    let isReached = true;
    const day = 'bodies/2026-11-22.sealed';
    for (let at = 0; isReached; at++) {
      const { clock, disk, store } = await furnishedDisk();
      let operations = 0;
      const busy = interrupted(disk, async () => {
        if (operations++ !== at) return;
        await clock.advance(86_400_000);
        await record(store, [anEvent('moved to another day')]);
        disk.take(`${folder}/${day}`);
      });
      await backUp(busy, { from: folder, to: file, keysTo: null, now: noon });
      isReached = operations > at;
      await restoreOn(disk);
      if (disk.paths.includes(`${elsewhere}/${day}`)) continue;
      const restored = await storeOn(disk, clock, { path: elsewhere });
      expect(await restored.event('moved to another day'), `operation ${at}`).toHaveLength(1);
    }
  });

  test('is gathered anew when a file goes away under it, and given up when that does not end', async () => {
    const { disk } = await furnishedDisk();
    disk.failNext('open', 'ENOENT', { path: '.sealed' });
    await backUpOf(disk);
    await restoreOn(disk);
    disk.hook = (operation, path) =>
      operation === 'open' && path.endsWith('.sealed') ? { code: 'ENOENT' } : null;
    await expect(backUpOf(disk, '/backups/second')).rejects.toMatchObject({ code: 'backup_failed' });
    expect(disk.paths.filter((path) => path.startsWith('/backups'))).toEqual([file]);
  });

  test('holds nothing that can be read without the master key', async () => {
    const { disk } = await furnishedDisk();
    await backUpOf(disk);
    const bytes = disk.contents(file);
    for (const canary of ['canary-access', 'canary-refresh', 'Zoë', 'a-signing-secret', 'not now']) {
      expect(bytes.includes(canary), canary).toBe(false);
    }
  });

  test('overwrites nothing, and is not put where it would be lost with the log', async () => {
    const { disk } = await furnishedDisk();
    await backUpOf(disk);
    await expect(backUpOf(disk)).rejects.toMatchObject({ code: 'file_exists' });
    for (const to of [`${folder}/log.backup`, `${folder}/journal/log.backup`, folder]) {
      await expect(backUpOf(disk, to)).rejects.toMatchObject({ code: 'file_in_store' });
    }
    const empty = new SimulatedDisk();
    await empty.makeFolder('/backups');
    await expect(backUpOf(empty)).rejects.toMatchObject({ code: 'store_missing' });
  });

  test('stands under its name only when it is whole and durable', async () => {
    const { disk } = await furnishedDisk();
    const moments: SimulatedDisk[] = [];
    disk.hook = () => {
      moments.push(disk.kill(), disk.powerCut(seededRandom(moments.length)));
      return null;
    };
    await backUpOf(disk);
    moments.push(disk.powerCut(seededRandom(1)));
    let whole = 0;
    for (const moment of moments) {
      if (!moment.paths.includes(file)) continue;
      await restoreOn(moment);
      whole++;
    }
    expect(whole).toBeGreaterThan(0);
    disk.hook = () => null;
    disk.failNext('write', 'ENOSPC', { path: 'full.unfinished' });
    await expect(backUpOf(disk, '/backups/full')).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(disk.paths.some((path) => path.startsWith('/backups/full'))).toBe(false);
  });
});

describe('a backup whose keys lie apart', () => {
  const keysFile = '/keys/log.keys';

  test('opens with them, and neither alone', async () => {
    const { clock, disk, store } = await furnishedDisk();
    await disk.makeFolder('/keys');
    await backUpOf(disk, file, keysFile);
    await expect(restoreOn(disk)).rejects.toMatchObject({ code: 'keys_missing' });
    await expect(restoreOn(disk, file, file)).rejects.toMatchObject({ code: 'keys_missing' });
    await restoreOn(disk, file, keysFile);
    const restored = await storeOn(disk, clock, { path: elsewhere });
    expect(await contents(restored)).toEqual(await contents(store));
  });

  test('does not give back the bodies of a day whose key was dropped before the newest backup', async () => {
    const { clock, disk, store } = await furnishedDisk();
    await disk.makeFolder('/keys');
    await backUpOf(disk, file, keysFile);
    await store.close();
    await (await KeyRing.open(disk, folder, masterKeys)).drop('body', '2026-11-22');
    await backUpOf(disk, '/backups/newer', keysFile);
    await restoreOn(disk, file, keysFile);
    const restored = await storeOn(disk, clock, { path: elsewhere });
    await expect(restored.eventBody('clinic-1', 'e1')).rejects.toMatchObject({ code: 'body_unreadable' });
    expect(await restored.event('e1')).toHaveLength(1);
  });
});

describe('a restore', () => {
  test('refuses a backup with any byte changed, at any place, before it writes anything', async () => {
    const { disk } = await furnishedDisk();
    await backUpOf(disk);
    const whole = disk.contents(file);
    const random = seededRandom(3);
    for (let time = 0; time < 400; time++) {
      const changed = Buffer.from(whole);
      const at = Math.floor(random() * changed.length);
      changed[at] = (changed[at] as number) ^ (1 << Math.floor(random() * 8));
      disk.put(file, changed);
      await expect(restoreOn(disk), `byte ${at}`).rejects.toMatchObject({ code: 'backup_damaged' });
    }
    expect(disk.paths.some((path) => path.startsWith(elsewhere))).toBe(false);
  });

  test('refuses one that was cut at any place, and one with something behind its end', async () => {
    const { disk } = await furnishedDisk();
    await backUpOf(disk);
    const whole = disk.contents(file);
    const cuts = Array.from({ length: 200 }, (_, time) => Math.floor((whole.length * time) / 200));
    for (const cut of [...cuts, whole.length - 1, whole.length - 512, whole.length - 1024]) {
      disk.put(file, whole.subarray(0, cut));
      await expect(restoreOn(disk), `cut at ${cut}`).rejects.toMatchObject({ code: 'backup_damaged' });
    }
    disk.put(file, Buffer.concat([whole, Buffer.from('x')]));
    await expect(restoreOn(disk)).rejects.toMatchObject({ code: 'backup_damaged' });
    await expect(restoreOn(disk, '/backups/none')).rejects.toMatchObject({ code: 'backup_missing' });
    expect(disk.paths.some((path) => path.startsWith(elsewhere))).toBe(false);
  });

  test('writes only what a store is made of, whatever names somebody put into the archive', async () => {
    const { disk } = await furnishedDisk();
    for (const name of ['../evil', '/etc/evil', 'journal/../../evil.jsonl', 'lock', 'journal/a/b.jsonl']) {
      disk.put(
        file,
        Buffer.concat([writeTarHeader({ name, bytes: 0, modifiedAt: noon }), Buffer.alloc(2048)]),
      );
      await expect(restoreOn(disk), name).rejects.toMatchObject({ code: 'backup_damaged' });
    }
  });

  test('fills no folder that holds anything', async () => {
    const { disk } = await furnishedDisk();
    await backUpOf(disk);
    const into = restore(disk, { from: file, to: folder, keysFrom: null, now: noon });
    await expect(into).rejects.toMatchObject({ code: 'folder_not_empty' });
    await restoreOn(disk);
    await expect(restoreOn(disk)).rejects.toMatchObject({ code: 'folder_not_empty' });
  });

  test('that is cut off at any moment leaves nothing that a relay starts on, or all of it', async () => {
    const { clock, disk, store } = await furnishedDisk();
    await backUpOf(disk);
    const expected = await contents(store);
    const moments: SimulatedDisk[] = [];
    disk.hook = () => {
      moments.push(disk.kill(), disk.powerCut(seededRandom(moments.length)));
      return null;
    };
    await restoreOn(disk);
    let refusals = 0;
    for (const moment of moments) {
      const isBegun = moment.paths.some((path) => path.startsWith(elsewhere));
      if (!isBegun) continue;
      try {
        const restored = await storeOn(moment, clock, { path: elsewhere });
        expect(await contents(restored)).toEqual(expected);
      } catch (error) {
        expect(error).toMatchObject({ code: 'restore_unfinished' });
        refusals++;
      }
    }
    expect(refusals).toBeGreaterThan(10);
  });
});

describe('a log that came out of a backup', () => {
  async function restored() {
    const { clock, disk, store } = await furnishedDisk();
    await store.addSubscriber(aSubscriber('sub_2', { pauseReasons: ['person'] }));
    await store.addSubscriber(aSubscriber('sub_3', { name: 'gone' }));
    await store.deleteSubscriber('sub_3');
    await backUpOf(disk);
    await restoreOn(disk);
    return { clock, disk, store };
  }

  test('case 64: sends nothing and uses no token until somebody resumes each, over restarts too', async () => {
    const { clock, disk } = await restored();
    for (let start = 1; start <= 2; start++) {
      const store = await storeOn(disk, clock, { path: elsewhere });
      const { subscribers } = await store.subscribers();
      expect(subscribers.map(({ pauseReasons }) => pauseReasons)).toEqual([
        ['restored'],
        ['person', 'restored'],
        [],
      ]);
      expect(await claim(store)).toEqual([]);
      expect(await store.connections()).toMatchObject([{ state: 'restored', tokens: connection.tokens }]);
      expect(await store.restoration()).toEqual({
        takenAt: noon + 1_000,
        restoredAt: noon + 2_000,
        subscribers: 2,
        connections: 1,
        openDeliveries: 2,
      });
      await store.close();
    }
  });

  test('loses nothing when it is resumed: what was open is sent under the ids that it had', async () => {
    const { clock, disk, store: twin } = await restored();
    const store = await storeOn(disk, clock, { path: elsewhere });
    await store.resumeSubscriber('sub_1', { lift: ['restored'], backlog: 'deliver' });
    await clock.advance(60_000);
    const again = await claim(store);
    expect(again.map(({ delivery }) => delivery.id).sort()).toEqual(
      ['e2', 'e3'].map((id) => deliveryIdOf(id, 'sub_1')).sort(),
    );
    expect(await store.delivery(deliveryIdOf('e1', 'sub_1'))).toMatchObject({ state: 'delivered' });
    // What the twin recorded since is found again at the vendor, and gets the same delivery id.
    await record(twin, [anEvent('e4')]);
    await record(store, [anEvent('e4')]);
    const id = deliveryIdOf('e4', 'sub_1');
    expect(await store.delivery(id)).toMatchObject({ state: 'pending' });
    expect(await twin.delivery(id)).not.toBeNull();
  });

  test('is no longer held once all is resumed, and stays so', async () => {
    const { clock, disk } = await restored();
    const first = await storeOn(disk, clock, { path: elsewhere });
    for (const id of ['sub_1', 'sub_2']) {
      await first.resumeSubscriber(id, { lift: ['restored'], backlog: 'deliver' });
    }
    const [held] = await first.connections();
    if (held) await first.saveConnection({ ...held, tokens: null, spareTokens: null, state: 'working' });
    expect(await first.restoration()).toBeNull();
    const again = await storeOn(disk.kill(), clock, { path: elsewhere });
    expect(await again.restoration()).toBeNull();
    expect(await again.connections()).toMatchObject([{ state: 'working', tokens: connection.tokens }]);
    await pollOf(again);
  });

  test('is held whatever moment its first start is cut off at', async () => {
    const { clock, disk } = await restored();
    const moments: SimulatedDisk[] = [];
    disk.hook = () => {
      moments.push(disk.kill(), disk.powerCut(seededRandom(moments.length)));
      return null;
    };
    await storeOn(disk, clock, { path: elsewhere });
    expect(moments.length).toBeGreaterThan(20);
    for (const moment of moments) {
      const store = await storeOn(moment, clock, { path: elsewhere });
      expect(await store.restoration()).toMatchObject({ subscribers: 2, connections: 1 });
    }
  });
});

describe('the archive', () => {
  const made: string[] = [];
  afterEach(() => {
    for (const path of made.splice(0)) rmSync(path, { recursive: true });
  });

  test('can be looked into with tar', async () => {
    const path = mkdtempSync(join(tmpdir(), 'relay-backup-'));
    made.push(path);
    const clock = simulatedClock(noon);
    const store = await storeOn(realDisk, clock, { path: join(path, 'data') });
    await furnished(store);
    await record(store, [anEvent('e1')]);
    await store.close();
    const to = join(path, 'log.backup');
    await backUp(realDisk, { from: join(path, 'data'), to, keysTo: null, now: noon });
    expect(execFileSync('tar', ['-tf', to]).toString().split('\n')).toEqual([
      'keys.json',
      'checkpoint.json',
      'journal/2026-11-22.jsonl',
      'bodies/2026-11-22.sealed',
      'backup.json',
      '',
    ]);
    writeFileSync(join(path, 'taken'), execFileSync('tar', ['-xOf', to, 'journal/2026-11-22.jsonl']));
    expect(readFileSync(join(path, 'taken'))).toEqual(
      readFileSync(join(path, 'data', 'journal', '2026-11-22.jsonl')),
    );
  });

  test('takes files larger than 8 GiB', () => {
    const header = { name: 'bodies/2026-11-22.sealed', bytes: 40 * 2 ** 30 + 7, modifiedAt: noon };
    expect(readTarHeader(writeTarHeader(header))).toEqual(header);
    expect(readTarHeader(writeTarHeader({ ...header, bytes: 8 * 2 ** 30 - 1 }))).toMatchObject({
      bytes: 8 * 2 ** 30 - 1,
    });
  });
});
