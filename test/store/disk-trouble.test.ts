import { describe, expect, test } from 'vitest';
import { StoreBroken, StoreUnavailable } from '../../src/domain/errors.ts';
import { simulatedClock } from '../world/clock.ts';
import { type DiskOperation, folder, SimulatedDisk, storeOn } from '../world/disk.ts';
import { aClinic, accepted, anEvent, aSubscriber, claim, furnished, pollOf, record } from './fixtures.ts';

const noon = Date.parse('2026-11-22T12:00:00Z');
const dayMs = 86_400_000;
const part = `${folder}/journal/2026-11-22.jsonl`;
const bodies = `${folder}/bodies/2026-11-22.sealed`;

async function running() {
  const disk = new SimulatedDisk();
  const clock = simulatedClock(noon);
  const store = await storeOn(disk, clock);
  await furnished(store);
  return { disk, clock, store };
}

const namesOf = async (store: Awaited<ReturnType<typeof storeOn>>): Promise<string[]> =>
  (await store.clinics()).map(({ name }) => name);

describe('a full disk', () => {
  for (const { code, written, where, because } of [
    { code: 'ENOSPC', written: 0, where: part, because: 'case 37: nothing of the journal was written' },
    { code: 'ENOSPC', written: 40, where: part, because: 'case 38: part of the journal was written' },
    { code: 'EDQUOT', written: 40, where: part, because: 'case 41: the quota is used up' },
    { code: 'EFBIG', written: 40, where: part, because: 'case 41: the file may not grow' },
    { code: 'ENOSPC', written: 0, where: bodies, because: 'case 37: nothing of the bodies was written' },
    { code: 'ENOSPC', written: 40, where: bodies, because: 'case 38: part of the bodies was written' },
  ]) {
    test(`${because}: nothing new is taken, reads are answered, and it goes on by itself`, async () => {
      const { disk, clock, store } = await running();
      const before = { journal: disk.contents(part), bodies: disk.contents(bodies) };
      disk.failNext('write', code, { path: where, written });
      const poll = await pollOf(store);
      const { version: subscribersVersion } = await store.subscribers();
      let answered = false;
      const kept = store
        .recordEvents(poll, { events: [anEvent('e1')], subscribersVersion })
        .then((answer) => {
          answered = true;
          return answer;
        });
      await clock.advance(1_000);
      expect(answered).toBe(false);
      expect(store.troubles).toMatchObject([{ code: 'disk_full', since: noon }]);
      expect(disk.contents(part)).toEqual(before.journal);
      expect(disk.contents(bodies)).toEqual(before.bodies);
      await expect(store.saveClinic(aClinic('c2', 'Two'))).rejects.toThrow(StoreUnavailable);
      await expect(store.assertWritable()).rejects.toThrow(StoreUnavailable);
      await expect(
        store.claimPolls({ streams: await store.streams(), leaseMs: 60_000 }),
        'what would be read could not be recorded',
      ).rejects.toThrow(StoreUnavailable);
      expect(await store.unseen('clinic-1', ['e1'])).toEqual(['e1']);
      expect((await store.deliveries({}, { limit: 9, cursor: null })).items).toEqual([]);
      await clock.advance(2_000);
      expect(await kept).toMatchObject({ kind: 'recorded', events: 1, deliveries: 1 });
      expect(store.troubles).toMatchObject([{ code: 'disk_full' }, null]);
      await store.assertWritable();
      await store.saveClinic(aClinic('c2', 'Two'));
      const again = await storeOn(
        disk.powerCut(() => 0.99),
        clock,
      );
      expect(await again.eventBody('clinic-1', 'e1')).toBe(anEvent('e1').body);
      expect(await namesOf(again)).toEqual(['Washington', 'Two']);
    });
  }

  test('it stays refused as long as there is no space, and keeps everybody who was waiting', async () => {
    const { disk, clock, store } = await running();
    disk.freeBytes = 10;
    const kept = Promise.all(
      ['Two', 'Three', 'Washington'].map((name) =>
        store.saveClinic(aClinic(name, name)).then(
          () => `${name}: saved`,
          (error: { code: string }) => `${name}: ${error.code}`,
        ),
      ),
    );
    await clock.advance(60_000);
    expect(store.troubles).toHaveLength(1);
    expect(await namesOf(store)).toEqual(['Washington']);
    disk.freeBytes = 100_000;
    await clock.advance(2_000);
    expect(await kept).toEqual(['Two: saved', 'Three: saved', 'Washington: clinic_name_taken']);
  });

  test('a claim that waited for space has its whole lease', async () => {
    const { disk, clock, store } = await running();
    await record(store, [anEvent('e1')]);
    disk.freeBytes = 0;
    const claimed = claim(store);
    await clock.advance(25_000);
    disk.freeBytes = 100_000;
    await clock.advance(2_000);
    const [first] = await claimed;
    await clock.advance(20_000);
    expect(await claim(store)).toEqual([]);
    if (first) expect((await store.recordAttempt(first, accepted)).delivery.state).toBe('delivered');
  });

  for (const { operation, path, skip, because } of [
    { operation: 'write', path: '2026-11-23.jsonl', skip: 0, because: 'a new day’s part' },
    { operation: 'open', path: '2026-11-23.jsonl', skip: 0, because: 'a new day’s part, before it was made' },
    { operation: 'open', path: '2026-11-23.sealed', skip: 0, because: 'a new day’s bodies' },
    { operation: 'writeNew', path: 'keys.json.tmp', skip: 0, because: 'the key file' },
    { operation: 'writeNew', path: 'keys.json.tmp', skip: 1, because: 'the second new key' },
  ] as const) {
    test(`a disk that is full for ${because} when the day changes: it goes on by itself`, async () => {
      const { disk, clock, store } = await running();
      await clock.advance(dayMs);
      disk.failNext(operation, 'ENOSPC', { path, written: 20, skip });
      const kept = record(store, [anEvent('e1')]);
      await clock.advance(500);
      expect(store.troubles).toMatchObject([{ code: 'disk_full' }]);
      expect(disk.paths.filter((each) => each.endsWith('.tmp'))).toEqual([]);
      await clock.advance(2_000);
      await kept;
      const again = await storeOn(
        disk.powerCut(() => 0.99),
        clock,
      );
      expect(await again.eventBody('clinic-1', 'e1')).toBe(anEvent('e1').body);
    });
  }

  test('case 40: a disk that is full for the checkpoint when the day changes holds up nobody: the journal has it all', async () => {
    const { disk, clock, store } = await running();
    await clock.advance(dayMs);
    disk.failNext('writeNew', 'ENOSPC', { path: 'checkpoint.json.tmp', written: 20 });
    await record(store, [anEvent('e1')]);
    await clock.advance(500);
    expect(store.troubles).toEqual([]);
    expect(disk.paths.filter((each) => each.endsWith('.tmp'))).toEqual([]);
    const again = await storeOn(
      disk.powerCut(() => 0.99),
      clock,
    );
    expect(await again.eventBody('clinic-1', 'e1')).toBe(anEvent('e1').body);
    expect(await namesOf(again)).toEqual(['Washington']);
  });

  test('a store that is closed while its disk is full refuses who was waiting', async () => {
    const { disk, clock, store } = await running();
    disk.freeBytes = 0;
    const kept = store.saveClinic(aClinic('c2', 'Two'));
    const refusal = expect(kept).rejects.toMatchObject({ code: 'store_closed' });
    await clock.advance(1_000);
    await store.close();
    await refusal;
    disk.freeBytes = 100_000;
    expect(await namesOf(await storeOn(disk, clock))).toEqual(['Washington']);
  });
});

describe('a disk that fails', () => {
  for (const { operation, path, code, because } of [
    { operation: 'write', path: '.jsonl', code: 'EIO', because: 'case 42: the journal cannot be written' },
    { operation: 'write', path: '.jsonl', code: 'EROFS', because: 'case 46: the disk is read-only' },
    { operation: 'write', path: '.sealed', code: 'EIO', because: 'case 42: the bodies cannot be written' },
    { operation: 'datasync', path: '.jsonl', code: 'EIO', because: 'case 43: the journal cannot be synced' },
    { operation: 'datasync', path: '.jsonl', code: 'ENOSPC', because: 'case 43: full at the sync' },
    { operation: 'datasync', path: '.sealed', code: 'EIO', because: 'case 43: the bodies cannot be synced' },
    { operation: 'datasync', path: '.sealed', code: 'ENOSPC', because: 'case 43: full at the bodies’ sync' },
  ] as const) {
    test(`${because}: everything is refused and nothing is tried again`, async () => {
      const { disk, clock, store } = await running();
      disk.failNext(operation, code, { path });
      const after: [DiskOperation, string][] = [];
      const { hook } = disk;
      disk.hook = (happening, where) => {
        if (store.troubles.length > 0) after.push([happening, where]);
        return hook(happening, where);
      };
      await expect(record(store, [anEvent('e1')])).rejects.toThrow(StoreBroken);
      await clock.advance(60_000);
      await expect(store.saveClinic(aClinic('c2', 'Two'))).rejects.toThrow(StoreBroken);
      await expect(store.clinics()).rejects.toThrow(StoreBroken);
      await expect(store.assertWritable()).rejects.toThrow(StoreBroken);
      expect(store.troubles).toMatchObject([expect.any(StoreBroken)]);
      await store.close();
      expect(after).toEqual([]);
      for (const left of [disk.kill(), disk.powerCut(() => 0.3)]) {
        const again = await storeOn(left, clock);
        expect(await again.unseen('clinic-1', ['e0'])).toEqual(['e0']);
        await record(again, [anEvent('e2')]);
      }
    });
  }

  test('case 39: full at a write, and what was written cannot be taken back: everything is refused', async () => {
    const { disk, clock, store } = await running();
    disk.failNext('write', 'ENOSPC', { path: '.jsonl', written: 40 });
    disk.failNext('truncate', 'EIO');
    await expect(store.saveClinic(aClinic('c2', 'Two'))).rejects.toThrow(StoreBroken);
    const again = await storeOn(disk.kill(), clock);
    expect(again.recovery.cut).toMatchObject({ bytes: 40 });
    expect(await namesOf(again)).toEqual(['Washington']);
  });

  for (const { operation, path } of [
    { operation: 'datasync', path: '2026-11-23.jsonl' },
    { operation: 'syncFolder', path: 'journal' },
    { operation: 'syncFolder', path: 'bodies' },
    { operation: 'syncFolder', path: folder },
  ] as const) {
    test(`full at ${operation} of ${path} when the day changes: a failed sync is never tried again`, async () => {
      const { disk, clock, store } = await running();
      await clock.advance(dayMs);
      disk.failNext(operation, 'ENOSPC', { path });
      await expect(store.saveClinic(aClinic('c2', 'Two'))).rejects.toMatchObject({
        code: 'store_sync_failed',
      });
      expect(await namesOf(await storeOn(disk.kill(), clock))).toEqual(['Washington']);
    });
  }

  for (const { trouble, because } of [
    { trouble: (disk: SimulatedDisk) => disk.take(part), because: 'removed' },
    { trouble: (disk: SimulatedDisk) => disk.put(part, disk.contents(part)), because: 'replaced by a copy' },
    { trouble: (disk: SimulatedDisk) => disk.scribble(part, '{}\n'), because: 'written by another program' },
    { trouble: (disk: SimulatedDisk) => disk.take(bodies), because: 'removed (the bodies)' },
    { trouble: (disk: SimulatedDisk) => disk.scribble(bodies, 'x'), because: 'written to (the bodies)' },
  ]) {
    test(`case 63: a file that was ${because} is noticed at the next commit`, async () => {
      const { disk, store } = await running();
      trouble(disk);
      await expect(record(store, [anEvent('e1')])).rejects.toThrow(StoreBroken);
      expect(store.troubles).toMatchObject([{ code: 'store_broken' }]);
    });
  }

  for (const { operation, code, why, hint } of [
    { operation: 'makeFolder', code: 'EACCES', why: 'this user may not use it', hint: '0700' },
    { operation: 'makeFolder', code: 'EROFS', why: 'its disk is read-only', hint: 'Mount the disk' },
    { operation: 'writeNew', code: 'ENOSPC', why: 'its disk is full', hint: 'Free some space' },
    { operation: 'writeNew', code: 'EDQUOT', why: 'its disk is full', hint: 'Free some space' },
  ] as const) {
    test(`case 48: a folder that cannot be used for ${code} says that ${why}, and nothing else`, async () => {
      const disk = new SimulatedDisk();
      disk.failNext(operation, code);
      const opening = storeOn(disk, simulatedClock(noon));
      await expect(opening).rejects.toMatchObject({
        code: 'store_unusable',
        message: expect.stringMatching(`/data cannot be opened, because ${why}: `),
        hint: expect.stringContaining(hint),
      });
    });
  }

  test('case 45: a journal that cannot be read refuses the start, and its lock is given back', async () => {
    const { disk, clock } = await running();
    disk.failNext('read', 'EIO', { path: '.jsonl' });
    let locked = 0;
    const lock = () => {
      locked++;
      return () => locked--;
    };
    await expect(storeOn(disk, clock, { lock })).rejects.toMatchObject({ code: 'store_unusable' });
    expect(locked).toBe(0);
  });

  test('a process without free file handles loses no body', async () => {
    const { disk, clock } = await running();
    const store = await storeOn(disk, clock);
    await record(store, [anEvent('e1')]);
    const again = await storeOn(disk, clock);
    disk.failNext('open', 'EMFILE', { path: '.sealed' });
    await expect(claim(again)).rejects.toThrow(StoreUnavailable);
    const third = await storeOn(disk.kill(), clock);
    for (const [store, because] of [
      [again, 'the claim was given back'],
      [third, 'and that is on record'],
    ] as const) {
      const [claimed] = await claim(store);
      expect(claimed, because).toMatchObject({ attempt: 1, event: { body: anEvent('e1').body } });
      expect(await store.attempts(claimed?.delivery.id ?? ''), because).toEqual([]);
    }
  });

  test('a body that cannot be read at the moment holds up no other, and is claimed with its first number again', async () => {
    const { disk, clock } = await running();
    const store = await storeOn(disk, clock);
    await record(store, [anEvent('e1'), anEvent('e2'), anEvent('e3')]);
    const again = await storeOn(disk, clock);
    disk.failNext('open', 'EMFILE', { path: '.sealed' });
    expect((await claim(again)).map(({ event }) => event.id)).toEqual(['e2', 'e3']);
    expect(await claim(again)).toMatchObject([{ attempt: 1, event: { id: 'e1' } }]);
  });
});

describe('closing', () => {
  test('takes nothing new while what is under way is finished', async () => {
    const { disk, clock, store } = await running();
    const underWay = store.saveClinic(aClinic('c2', 'Two'));
    const closing = store.close();
    const late = expect(store.saveClinic(aClinic('c3', 'Three'))).rejects.toMatchObject({
      code: 'store_closed',
    });
    await Promise.all([underWay, closing, late]);
    expect(await namesOf(await storeOn(disk, clock))).toEqual(['Washington', 'Two']);
  });

  test('case 66: a record too large for a line is refused alone', async () => {
    const { store } = await running();
    const answers = await Promise.allSettled([
      store.addSubscriber(aSubscriber('sub_2', { url: `https://x.example/${'y'.repeat(1_100_000)}` })),
      store.saveClinic(aClinic('c2', 'Two')),
    ]);
    expect(answers).toMatchObject([
      { status: 'rejected', reason: { code: 'record_too_large' } },
      { status: 'fulfilled' },
    ]);
    expect((await store.subscribers()).subscribers.map(({ id }) => id)).toEqual(['sub_1']);
  });
});
