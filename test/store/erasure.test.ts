import { beforeEach, describe, expect, test } from 'vitest';
import { deliveryIdOf } from '../../src/domain/delivery.ts';
import { StoreBroken, StoreUnavailable } from '../../src/domain/errors.ts';
import { backUp } from '../../src/store/file/backup.ts';
import { restore } from '../../src/store/file/restore.ts';
import { verifyLog } from '../../src/store/file/verify.ts';
import type { ErasureAsk, Store } from '../../src/store/store.ts';
import { type SimulatedClock, simulatedClock } from '../world/clock.ts';
import { folder, SimulatedDisk, storeOn } from '../world/disk.ts';
import {
  aClinic,
  accepted,
  anErasure,
  anEvent,
  aSubscriber,
  claim,
  furnished,
  record,
  refused,
} from './fixtures.ts';

const noon = Date.parse('2026-11-22T12:00:00Z');
const dayMs = 86_400_000;
const masterKeys = { current: Buffer.alloc(32, 7), previous: null };

let clock: SimulatedClock;
let disk: SimulatedDisk;
let store: Awaited<ReturnType<typeof storeOn>>;

beforeEach(async () => {
  clock = simulatedClock(noon);
  disk = new SimulatedDisk();
  store = await opened(disk);
  await furnished(store, aSubscriber('sub_1', { retrySeconds: [] }));
});

function opened(on: SimulatedDisk): Promise<typeof store> {
  return storeOn(on, clock, {
    partBytes: 20_000,
    retention: { ids: 35, bodies: 30, deliveries: 90, onRetained: () => {} },
  });
}

const about = (id: string, patient: string) =>
  anEvent(id, { body: `{"id":"${id}","data":{"patient":{"id":"${patient}","first_name":"Zoë"}}}` });

async function deliver(result: typeof accepted | typeof refused, on: Store = store): Promise<void> {
  for (const each of await claim(on)) await on.recordAttempt(each, result);
}

const recordErasure = (ask: Partial<ErasureAsk> = {}, on: Store = store) => on.erase(anErasure('ana', ask));

const removeErased = (on: Store = store) => on.removeErased(new AbortController().signal);

/** On record and from the disk. */
async function erase(ask: Partial<ErasureAsk> = {}, on: Store = store) {
  const erased = await recordErasure(ask, on);
  await removeErased(on);
  return erased;
}

/** Ana's events of two days, refused once each, among Ben's. */
async function twoPatients(): Promise<void> {
  await record(store, [about('a1', 'ana'), about('b1', 'ben')]);
  await deliver(refused);
  await clock.advance(dayMs);
  await record(store, [about('a2', 'ana'), about('b2', 'ben')]);
  await deliver(refused);
}

async function shownOf(on: Store, eventId: string) {
  const attempts = await on.attempts(deliveryIdOf(eventId, 'sub_1'));
  return [await on.eventBody('clinic-1', eventId), ...attempts.map(({ excerpt }) => excerpt)];
}

/** What Ben's are, and what Ana's are not any more. */
async function expectErased(on: Store): Promise<void> {
  for (const id of ['a1', 'a2']) expect(await shownOf(on, id), id).toEqual([null, null]);
  for (const id of ['b1', 'b2'])
    expect(await shownOf(on, id), id).toEqual([about(id, 'ben').body, 'not now']);
  expect(await on.bodyStates([{ clinicId: 'clinic-1', eventId: 'a1' }])).toEqual(['erased']);
}

const sealedFiles = (on: SimulatedDisk) =>
  on.paths
    .filter((path) => path.startsWith(folder) && path.endsWith('.sealed'))
    .map((path) => path.slice(`${folder}/bodies/`.length));

const keysOf = (on: SimulatedDisk) =>
  Object.keys(JSON.parse(on.contents(`${folder}/keys.json`).toString()).keys);

describe('an erasure that is on record, whose files are written anew', () => {
  for (const { operation, path, skip, code, because } of [
    { operation: 'write', path: '2026-11-22.2.sealed', skip: 0, code: 'ENOSPC', because: 'the new file' },
    { operation: 'write', path: '2026-11-23.3.sealed', skip: 0, code: 'EDQUOT', because: 'the second' },
    { operation: 'writeNew', path: 'keys.json.tmp', skip: 1, code: 'ENOSPC', because: 'the new file’s key' },
    {
      operation: 'writeNew',
      path: 'keys.json.tmp',
      skip: 3,
      code: 'ENOSPC',
      because: 'dropping the old key',
    },
    {
      operation: 'open',
      path: '2026-11-22.2.sealed',
      skip: 0,
      code: 'EMFILE',
      because: 'no more open files',
    },
    {
      operation: 'remove',
      path: '2026-11-22.sealed',
      skip: 0,
      code: 'EIO',
      because: 'an old file that stays',
    },
  ] as const) {
    test(`goes on when it is asked again, and leaves nothing behind on a full disk: ${because}`, async () => {
      await twoPatients();
      await recordErasure();
      const before = sealedFiles(disk);
      disk.failNext(operation, code, { path, skip });
      await expect(removeErased()).rejects.toThrow(StoreUnavailable);
      expect(store.troubles, 'the log itself can be written').toEqual([]);
      const today = '2026-11-23.2.sealed';
      if (path === '2026-11-22.2.sealed') expect(sealedFiles(disk).sort()).toEqual([...before, today].sort());
      await removeErased();
      await expectErased(store);
      for (const file of before) expect(sealedFiles(disk)).not.toContain(file);
      await expectErased(await opened(disk.kill()));
      expect(await verifyLog(disk, folder, masterKeys)).toMatchObject({ damagedBodies: { count: 0 } });
    });
  }

  test('keeps of a new file what is on record when the disk is full in its midst', async () => {
    const many = Array.from({ length: 120 }, (_, at) => about(`b${at}`, 'ben'));
    await record(store, [about('a1', 'ana'), ...many]);
    for (let left = 121; left > 0; left -= 10) await deliver(accepted);
    await clock.advance(dayMs);
    await recordErasure();
    disk.failNext('write', 'ENOSPC', { path: '2026-11-22.2.sealed', skip: 70, written: 5 });
    await expect(removeErased()).rejects.toThrow(StoreUnavailable);
    const cut = await opened(disk.kill());
    await removeErased(cut);
    for (let at = 0; at < 120; at++) {
      expect(await cut.eventBody('clinic-1', `b${at}`)).toBe(about(`b${at}`, 'ben').body);
    }
    expect(await cut.eventBody('clinic-1', 'a1')).toBeNull();
  });

  for (const { operation, path, code } of [
    { operation: 'write', path: '2026-11-22.2.sealed', code: 'EIO' },
    { operation: 'datasync', path: '2026-11-22.2.sealed', code: 'ENOSPC' },
    { operation: 'datasync', path: '.jsonl', code: 'EIO' },
    { operation: 'syncFolder', path: 'bodies', code: 'EIO' },
  ] as const) {
    test(`breaks the store as any write does at ${code} of ${operation}, and the next start finishes it`, async () => {
      await twoPatients();
      await recordErasure();
      disk.failNext(operation, code, { path });
      await expect(removeErased()).rejects.toThrow(StoreBroken);
      expect(store.troubles).toMatchObject([{ name: 'StoreBroken' }]);
      await expect(store.assertWritable()).rejects.toThrow(StoreBroken);
      disk = disk.kill();
      store = await opened(disk);
      await clock.advance(61_000);
      await expectErased(store);
      expect(sealedFiles(disk)).not.toContain('2026-11-22.sealed');
    });
  }
});

describe('an erasure of a patient', () => {
  test('takes the texts of the patient’s events and the answers to them off the disk, and nobody else’s', async () => {
    await twoPatients();
    const before = sealedFiles(disk);
    expect(await erase()).toMatchObject({ isErased: true, events: 2, open: 0, files: 2, unreadable: 0 });
    await expectErased(store);
    for (const file of before) {
      expect(sealedFiles(disk)).not.toContain(file);
      expect(keysOf(disk)).not.toContain(`body-${file.replace('.sealed', '')}`);
    }
    await expectErased(await opened(disk.kill()));
    // The file of today goes on under another name.
    await record(store, [about('b3', 'ben')]);
    const again = await opened(disk.kill());
    expect(await again.eventBody('clinic-1', 'b3')).toBe(about('b3', 'ben').body);
  });

  test('holds for a start from the journal alone, and for the check of the log', async () => {
    await twoPatients();
    await erase();
    const log = await verifyLog(disk, folder, masterKeys);
    expect(log).toMatchObject({ damagedBodies: { count: 0 } });
    expect(log.droppedBodies).toBe(8);
    await store.close();
    for (const path of disk.paths.filter((each) => /checkpoint|\.index$/.test(each))) disk.take(path);
    await expectErased(await opened(disk.kill()));
  });

  test('is on record with who asked for it and when, and without the patient’s id', async () => {
    await twoPatients();
    const { patient } = await erase();
    const journal = disk.paths
      .filter((path) => path.endsWith('.jsonl'))
      .map((path) => disk.contents(path).toString())
      .join('');
    const line = journal.split('\n').find((each) => each.includes('"t":"erased"')) ?? '';
    expect(JSON.parse(line)).toMatchObject({ by: 'operator', at: clock.now(), patient });
    expect(journal).not.toContain('ana');
    expect((await erase()).patient).toBe(patient);
  });

  test('puts the job on record with the last of what is erased', async () => {
    await twoPatients();
    const found = await recordErasure();
    const again = await opened(disk.kill());
    expect((await again.job('ers_1'))?.progress).toEqual(found);
    expect(await again.eventBody('clinic-1', 'a1')).toBeNull();
  });

  test('as a dry run counts and changes nothing', async () => {
    await twoPatients();
    const before = sealedFiles(disk);
    expect(await erase({ isDryRun: true })).toMatchObject({ isErased: false, events: 2, open: 0, files: 0 });
    expect(sealedFiles(disk)).toEqual(before);
    expect(await store.eventBody('clinic-1', 'a1')).toBe(about('a1', 'ana').body);
  });

  test('erases nothing while a delivery is open, unless open ones are to end', async () => {
    await twoPatients();
    await record(store, [about('a3', 'ana')]);
    expect(await erase()).toMatchObject({ isErased: false, events: 3, open: 1 });
    expect(await store.eventBody('clinic-1', 'a1')).toBe(about('a1', 'ana').body);
    expect(await erase({ endsOpen: true })).toMatchObject({ isErased: true, events: 3, open: 0, ended: 1 });
    expect(await store.delivery(deliveryIdOf('a3', 'sub_1'))).toMatchObject({
      state: 'failed',
      endReason: 'erased',
      dueAt: null,
    });
    expect(await claim(store)).toEqual([]);
  });

  test('keeps no answer of an attempt that was under way, and sends nothing of a replay', async () => {
    await record(store, [about('a1', 'ana')]);
    const [held] = await claim(store);
    if (!held) throw new Error('nothing is claimed');
    await erase({ endsOpen: true });
    await expect(store.recordAttempt(held, refused)).rejects.toMatchObject({ code: 'claim_lost' });
    expect(await shownOf(store, 'a1')).toEqual([null, null]);
    const id = deliveryIdOf('a1', 'sub_1');
    const fetched = { clinicId: 'clinic-1', eventId: 'a1', body: about('a1', 'ana').body as string };
    for (const body of [[], [fetched]]) {
      expect(await store.startRounds([id], body)).toEqual([{ deliveryId: id, kind: 'erased' }]);
    }
    expect(await store.eventBody('clinic-1', 'a1')).toBeNull();
  });

  test('leaves a backfill nothing to send, and takes what one has added into account', async () => {
    await record(store, [about('a1', 'ana'), about('a2', 'ana')]);
    await deliver(accepted);
    await store.addSubscriber(aSubscriber('sub_2'));
    const owe = (eventId: string) =>
      store.oweEvents({
        subscriberId: 'sub_2',
        events: [{ clinicId: 'clinic-1', eventId, type: 'order.placed', body: null }],
        jobAfter: () => ({
          id: 'bfl_1',
          kind: 'backfill',
          state: 'running',
          owner: 'ehr',
          createdAt: clock.now(),
          endedAt: null,
          ask: {},
          progress: {},
        }),
      });
    await owe('a1');
    expect(await erase()).toMatchObject({ isErased: false, open: 1 });
    expect(await erase({ endsOpen: true })).toMatchObject({ events: 2, ended: 1 });
    await owe('a2');
    expect(await store.delivery(deliveryIdOf('a2', 'sub_2'))).toBeNull();
  });

  test('of one clinic leaves the same event of another clinic its text', async () => {
    await store.saveClinic(aClinic('clinic-2', 'New York'));
    await store.follow('clinic-2', [{ category: 'orders', startAt: 0 }]);
    await record(store, [about('a1', 'ana')]);
    await record(store, [about('a1', 'ana')], 'clinic-2');
    await deliver(accepted);
    expect(await erase({ clinicId: 'clinic-1' })).toMatchObject({ events: 1 });
    const again = await opened(disk.kill());
    expect(await again.eventBody('clinic-1', 'a1')).toBeNull();
    expect(await again.eventBody('clinic-2', 'a1')).toBe(about('a1', 'ana').body);
    expect(await erase({}, again)).toMatchObject({ events: 1 });
    expect(await again.eventBody('clinic-2', 'a1')).toBeNull();
  });

  test('done twice finds nothing more, and can be done again on what was written anew', async () => {
    await twoPatients();
    await erase();
    expect(await erase()).toMatchObject({ events: 0, files: 0 });
    expect(await erase({ patientId: 'ben' })).toMatchObject({ events: 2, files: 2 });
    for (const id of ['b1', 'b2']) expect(await shownOf(store, id)).toEqual([null, null]);
    await record(store, [about('b3', 'ben')]);
    expect(await (await opened(disk.kill())).eventBody('clinic-1', 'b3')).toBe(about('b3', 'ben').body);
  });

  test('says how many texts are damaged: nobody can say whose they are', async () => {
    await twoPatients();
    await store.close();
    const path = `${folder}/bodies/2026-11-22.sealed`;
    disk.put(path, Buffer.alloc(disk.contents(path).length, 7));
    store = await opened(disk);
    expect(await erase()).toMatchObject({ isErased: true, events: 1, unreadable: 2 });
  });

  test('of which a backup was taken halfway is finished where it is restored', async () => {
    await twoPatients();
    await recordErasure();
    await disk.makeFolder('/backups');
    await backUp(disk, { from: folder, to: '/backups/log', keysTo: null, now: clock.now() });
    await restore(disk, { from: '/backups/log', to: '/elsewhere', keysFrom: null, now: clock.now() });
    const before = sealedFiles(disk);
    const restored = await storeOn(disk, clock, {
      path: '/elsewhere',
      retention: { ids: 35, bodies: 30, deliveries: 90, onRetained: () => {} },
    });
    await clock.advance(61_000);
    await expectErased(restored);
    const left = disk.paths.filter((path) => path.startsWith('/elsewhere/bodies/'));
    for (const file of before) expect(left).not.toContain(`/elsewhere/bodies/${file}`);
    expect(await verifyLog(disk, '/elsewhere', masterKeys)).toMatchObject({ damagedBodies: { count: 0 } });
  });

  test('by a clock that was put back by a year takes the same, and nothing else', async () => {
    await twoPatients();
    clock = simulatedClock(noon - 365 * dayMs);
    store = await opened(disk.kill());
    expect(await erase()).toMatchObject({ isErased: true, events: 2, files: 2 });
    await expectErased(store);
    await record(store, [about('b3', 'ben')]);
    expect(await store.eventBody('clinic-1', 'b3')).toBe(about('b3', 'ben').body);
  });

  test('keeps an answer that came by a clock which was put back behind the delivery', async () => {
    await record(store, [about('a1', 'ana'), about('b1', 'ben')]);
    clock = simulatedClock(noon - 365 * dayMs);
    store = await opened(disk.kill());
    await deliver(refused);
    expect(await shownOf(store, 'b1')).toEqual([about('b1', 'ben').body, 'not now']);
    await erase();
    expect(await shownOf(store, 'a1')).toEqual([null, null]);
    expect(await shownOf(store, 'b1')).toEqual([about('b1', 'ben').body, 'not now']);
  });

  test('leaves it to retention to take what is old away, in every file of a day', async () => {
    await twoPatients();
    await erase();
    await clock.advance(33 * dayMs);
    expect(sealedFiles(disk).filter((file) => file < '2026-11-24')).toEqual([]);
    expect(keysOf(disk).filter((key) => /^body-2026-11-2[23]/.test(key))).toEqual([]);
    expect(await store.eventBody('clinic-1', 'b1')).toBeNull();
    expect(await verifyLog(disk, folder, masterKeys)).toMatchObject({ damagedBodies: { count: 0 } });
    const again = await opened(disk.kill());
    expect(await again.bodyStates([{ clinicId: 'clinic-1', eventId: 'a1' }])).toEqual(['erased']);
  });

  test('that a crash cut off between any two operations is whole or not begun, and finished by the next start', async () => {
    let finished = false;
    for (let operation = 0; !finished; operation++) {
      clock = simulatedClock(noon);
      disk = new SimulatedDisk();
      store = await opened(disk);
      await furnished(store, aSubscriber('sub_1', { retrySeconds: [] }));
      await twoPatients();
      const watched = disk;
      let left = operation;
      let killed: SimulatedDisk | null = null;
      watched.hook = () => {
        if (killed || left-- > 0) return killed ? { code: 'EIO' } : null;
        killed = watched.kill();
        return { code: 'EIO' };
      };
      await erase().catch(() => {});
      finished = killed === null;
      watched.hook = () => null;
      disk = killed ?? disk.kill();
      const again = await opened(disk);
      await clock.advance(61_000);
      const isErased = (await again.bodyStates([{ clinicId: 'clinic-1', eventId: 'a1' }]))[0] === 'erased';
      if (!isErased) {
        expect(await erase({}, again), `killed at ${operation}`).toMatchObject({ events: 2 });
      }
      await expectErased(again);
      expect(sealedFiles(disk), `killed at ${operation}`).not.toContain('2026-11-22.sealed');
      expect(sealedFiles(disk), `killed at ${operation}`).not.toContain('2026-11-23.sealed');
      expect(await verifyLog(disk, folder, masterKeys)).toMatchObject({ damagedBodies: { count: 0 } });
      await again.close();
    }
  });
});
