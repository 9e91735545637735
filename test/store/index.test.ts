import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { KeyRing } from '../../src/store/file/keys.ts';
import type { Store } from '../../src/store/store.ts';
import { simulatedClock } from '../world/clock.ts';
import { folder, SimulatedDisk, storeOn } from '../world/disk.ts';
import { accepted, anEvent, aSubscriber, claim, furnished, record, refused } from './fixtures.ts';

const noon = Date.parse('2026-11-22T12:00:00Z');
const every = { partBytes: 1 };

function indexesOf(disk: SimulatedDisk): string[] {
  return disk.paths.filter((path) => path.endsWith('.index'));
}

/** All that lists and details show. */
async function shown(store: Store) {
  const deliveries = await store.deliveries({}, { limit: 100, cursor: null });
  const events = await store.events({}, { limit: 100, cursor: null });
  return {
    deliveries: await Promise.all(
      deliveries.items.map(async ({ id }) => [await store.delivery(id), await store.attempts(id)]),
    ),
    events: await Promise.all(
      events.items.map(async (event) => [event, await store.eventBody(event.clinicId, event.id)]),
    ),
    counts: await store.deliveryCounts(null),
  };
}

interface IndexedColumn {
  readonly name: string;
  readonly kind: string;
  readonly bytes: Buffer;
}

const bytesOfKind: Readonly<Record<string, number>> = { u8: 1, u32: 4, word: 4, f64: 8 };
/** Row number, whether it is busy, where it lies. */
const ownBytes = 8 + 1 + 4 + 4;

/** Writes an index as a version with other columns of deliveries would have, under the right key. */
async function withColumns(
  disk: SimulatedDisk,
  path: string,
  change: (columns: IndexedColumn[]) => IndexedColumn[],
): Promise<void> {
  const bytes = disk.contents(path);
  const trailer = bytes.subarray(-32);
  const headAt = bytes.length - 32 - trailer.readUInt32LE(12);
  const columnsAt = headAt - trailer.readUInt32LE(8);
  const head = JSON.parse(bytes.subarray(headAt, -32).toString());
  const written: Buffer[] = [];
  let at = columnsAt;
  for (const table of head.tables) {
    const own = table.rows * ownBytes;
    written.push(bytes.subarray(at, at + own));
    at += own;
    const columns = Object.entries<string>(table.columns).map(([name, kind]) => {
      const length = table.rows * (bytesOfKind[kind] ?? 0);
      at += length;
      return { name, kind, bytes: bytes.subarray(at - length, at) };
    });
    const changed = table.name === 'deliveries' ? change(columns) : columns;
    written.push(...changed.map((column) => column.bytes));
    table.columns = Object.fromEntries(changed.map(({ name, kind }) => [name, kind]));
  }
  const keys = await KeyRing.read(disk, folder, { current: Buffer.alloc(32, 7), previous: null });
  const key = keys.key(head.key);
  if (!key) throw new Error('the index has no key');
  const [columnBytes, headBytes] = [Buffer.concat(written), Buffer.from(JSON.stringify(head))];
  const end = Buffer.from(trailer);
  end.writeUInt32LE(columnBytes.length, 8);
  end.writeUInt32LE(headBytes.length, 12);
  createHmac('sha256', key.bytes).update(columnBytes).update(headBytes).digest().copy(end, 16, 0, 16);
  disk.put(path, Buffer.concat([bytes.subarray(0, columnsAt), columnBytes, headBytes, end]));
}

/** Twenty events, delivered but for two: one failed, one waits for its second attempt. */
async function aLog(changes = every) {
  const disk = new SimulatedDisk();
  const clock = simulatedClock(noon);
  const store = await storeOn(disk, clock, changes);
  await furnished(store, aSubscriber('sub_1', { retrySeconds: [60] }));
  for (let batch = 0; batch < 4; batch++) {
    await record(
      store,
      [0, 1, 2, 3, 4].map((n) => anEvent(`e${batch}-${n}`)),
    );
    for (const each of await claim(store)) {
      await store.recordAttempt(each, each.event.id === 'e0-0' ? refused : accepted);
    }
  }
  await clock.advance(61_000);
  for (const each of await claim(store)) await store.recordAttempt(each, refused);
  await record(store, [anEvent('open')]);
  for (const each of await claim(store)) await store.recordAttempt(each, refused);
  await clock.advance(1);
  return { disk, clock, store };
}

describe('rows in indexes', () => {
  test('what has ended leaves memory: a damaged index is met when a row of it is shown', async () => {
    const { disk, store } = await aLog();
    expect(indexesOf(disk).length).toBeGreaterThan(5);
    const { items } = await store.deliveries({ state: 'delivered' }, { limit: 1, cursor: null });
    for (const path of indexesOf(disk)) {
      disk.put(path, disk.contents(path).toString('latin1').replaceAll('accepted', 'ACCEPTED'));
    }
    await expect(store.delivery(items[0]?.id ?? '')).rejects.toMatchObject({
      code: 'index_unreadable',
      hint: expect.stringContaining('made anew from the journal'),
    });
  });

  test('a start from indexes shows what a start from the whole journal shows', async () => {
    const { disk, clock, store } = await aLog();
    const before = await shown(store);
    expect(before.counts).toMatchObject({ delivered: 19, failed: 1, pending: 1 });
    const indexed = disk.kill();
    const bare = disk.kill();
    for (const path of indexesOf(bare)) bare.take(path);
    expect(await shown(await storeOn(indexed, clock, every))).toEqual(before);
    expect(await shown(await storeOn(bare, clock, { partBytes: 16_000_000 }))).toEqual(before);
  });

  test('a start reads only the parts that no index holds', async () => {
    const { disk, clock } = await aLog();
    const killed = disk.kill();
    let read = 0;
    killed.hook = (operation, path) => {
      if (operation === 'read' && path.endsWith('.jsonl')) read++;
      return null;
    };
    await storeOn(killed, clock, every);
    const parts = killed.paths.filter((path) => path.endsWith('.jsonl')).length;
    // The header of each, and what is behind the last index.
    expect(read).toBeLessThan(parts + 4);
  });

  for (const { what, damage } of [
    { what: 'is missing', damage: (disk: SimulatedDisk, path: string) => disk.take(path) },
    {
      what: 'is cut short',
      damage: (disk: SimulatedDisk, path: string) => disk.put(path, disk.contents(path).subarray(0, -1)),
    },
    {
      what: 'has a flipped bit in its columns',
      damage: (disk: SimulatedDisk, path: string) => {
        const bytes = disk.contents(path);
        const at = bytes.lastIndexOf('{"format":1') - 3;
        bytes[at] = (bytes[at] as number) ^ 1;
        disk.put(path, bytes);
      },
    },
    {
      what: 'an older version wrote, without a column',
      damage: (disk: SimulatedDisk, path: string) =>
        withColumns(disk, path, (columns) => columns.filter(({ name }) => name !== 'backfillOf')),
    },
    {
      what: 'a newer version wrote, with one more column',
      damage: (disk: SimulatedDisk, path: string) =>
        withColumns(disk, path, (columns) => [
          ...columns,
          { name: 'unheardOf', kind: 'u8', bytes: Buffer.alloc((columns[0]?.bytes.length ?? 0) / 4) },
        ]),
    },
    {
      what: 'is empty',
      damage: (disk: SimulatedDisk, path: string) => disk.put(path, ''),
    },
    {
      what: 'is of another version',
      damage: (disk: SimulatedDisk, path: string) =>
        disk.put(
          path,
          Buffer.from(disk.contents(path).toString('latin1').replace('{"format":1', '{"format":2'), 'latin1'),
        ),
    },
  ]) {
    test(`an index that ${what} is made anew from the journal`, async () => {
      const { disk, clock, store } = await aLog();
      const before = await shown(store);
      const damaged = disk.kill();
      const path = indexesOf(damaged)[2] as string;
      await damage(damaged, path);
      const left = indexesOf(damaged).includes(path) ? damaged.contents(path) : null;
      const again = await storeOn(damaged, clock, every);
      expect(await shown(again)).toEqual(before);
      if (left && indexesOf(damaged).includes(path)) expect(damaged.contents(path)).not.toEqual(left);
      await clock.advance(1);
      await again.close();
      expect(await shown(await storeOn(damaged.kill(), clock, every))).toEqual(before);
    });
  }

  for (const { what, damage } of [
    { what: 'is missing', damage: (disk: SimulatedDisk, path: string) => disk.take(path) },
    {
      what: 'is shorter than it was',
      damage: (disk: SimulatedDisk, path: string) => disk.put(path, disk.contents(path).subarray(0, -1)),
    },
  ]) {
    test(`a part that is indexed and ${what} refuses the start and is named`, async () => {
      const { disk, clock } = await aLog();
      const part = disk.paths.filter((path) => path.endsWith('.jsonl'))[2] as string;
      damage(disk, part);
      await expect(storeOn(disk.kill(), clock, every)).rejects.toMatchObject({
        code: 'journal_corrupt',
        message: expect.stringContaining(part.slice(`${folder}/journal/`.length)),
      });
    });
  }

  test('an index that goes further than the checkpoint counts for nothing', async () => {
    const { disk, clock, store } = await aLog();
    const before = await shown(store);
    const checkpoint = disk.contents(`${folder}/checkpoint.json`);
    for (const each of await claim(store)) await store.recordAttempt(each, accepted);
    await record(store, [anEvent('later')]);
    await clock.advance(1);
    const after = await shown(store);
    expect(after).not.toEqual(before);
    const old = disk.kill();
    old.put(`${folder}/checkpoint.json`, checkpoint);
    expect(await shown(await storeOn(old, clock, every))).toEqual(after);
  });

  test('case 40: a disk that is full for an index holds up nobody, and the next index holds what it did not', async () => {
    const { disk, clock, store } = await aLog();
    disk.failNext('write', 'ENOSPC', { path: '.index.tmp' });
    await record(store, [anEvent('one')]);
    await clock.advance(1);
    expect(store.troubles).toEqual([]);
    expect(disk.paths.filter((path) => path.endsWith('.tmp'))).toEqual([]);
    await record(store, [anEvent('two')]);
    await clock.advance(1);
    await record(store, [anEvent('three')]);
    await clock.advance(1);
    const before = await shown(store);
    expect(await shown(await storeOn(disk.kill(), clock, every))).toEqual(before);
  });

  test('an index that cannot be synced ends the process', async () => {
    const { disk, clock, store } = await aLog();
    disk.failNext('datasync', 'EIO', { path: '.index.tmp' });
    // The store may break before this is done.
    await record(store, [anEvent('one')]).catch(() => {});
    await clock.advance(1);
    expect(store.troubles).toMatchObject([{ code: 'store_sync_failed' }]);
  });

  test('what has left memory starts a new round, and is delivered', async () => {
    const { disk, clock, store } = await aLog();
    const { items } = await store.deliveries({}, { limit: 100, cursor: null });
    const ended = items.filter(({ state }) => state !== 'pending').map(({ id }) => id);
    expect(ended).toHaveLength(20);
    const started = await store.startRounds([...ended, 'unknown']);
    expect(started.map(({ kind }) => kind)).toEqual(ended.map(() => 'newRound'));
    for (let round = 0; round < 2; round++) {
      for (const each of await claim(store)) {
        expect(each.attempt).toBeGreaterThan(1);
        await store.recordAttempt(each, accepted);
      }
    }
    const again = await storeOn(disk.kill(), clock, every);
    for (const id of ended) {
      expect(await again.delivery(id)).toMatchObject({ state: 'delivered', round: 2 });
      expect((await again.attempts(id)).at(-1)?.outcome.kind).toBe('accepted');
    }
  });

  test('a late result of what has left memory is on record', async () => {
    const disk = new SimulatedDisk();
    const clock = simulatedClock(noon);
    const store = await storeOn(disk, clock, every);
    await furnished(store);
    await record(store, [anEvent('e1')]);
    const [late] = await claim(store);
    await clock.advance(31_000);
    const [again] = await claim(store);
    if (!late || !again) throw new Error('nothing was claimed');
    await store.recordAttempt(again, accepted);
    for (const id of ['e2', 'e3', 'e4']) {
      await record(store, [anEvent(id)]);
      await clock.advance(1);
    }
    await expect(store.recordAttempt(late, refused)).rejects.toMatchObject({ code: 'claim_lost' });
    for (const each of [store, await storeOn(disk.kill(), clock, every)]) {
      expect((await each.attempts(late.delivery.id)).map(({ number, isLate }) => [number, isLate])).toEqual([
        [1, false],
        [1, true],
        [2, false],
      ]);
    }
  });

  test('a decision that waits for a row is refused when the row cannot be read, and holds up no other', async () => {
    const { disk, store } = await aLog();
    const { items } = await store.deliveries({ state: 'delivered' }, { limit: 1, cursor: null });
    disk.failNext('read', 'EMFILE', { path: '.index' });
    const refusedRound = store.startRounds([items[0]?.id ?? '']);
    await record(store, [anEvent('other')]);
    await expect(refusedRound).rejects.toMatchObject({ code: 'store_out_of_resources' });
    expect(await store.startRounds([items[0]?.id ?? ''])).toMatchObject([{ kind: 'newRound' }]);
  });
});

test('so many new rows that memory would fill up with them wait for the index under way, and a moment only', async () => {
  const disk = new SimulatedDisk();
  const clock = simulatedClock(noon);
  const store = await storeOn(disk, clock, { partBytes: 100_000 });
  await furnished(store);
  let made = 0;
  const ids = (count: number) => Array.from({ length: count }, () => `e${++made}`);
  const takeOver = (count: number) => store.importSeen('clinic-1', ids(count), { isDryRun: false });
  await takeOver(1_000);
  await takeOver(1);
  // The index of those has begun, and goes on only as time does.
  await new Promise(setImmediate);
  await takeOver(30_000);
  expect(indexesOf(disk)).toHaveLength(0);
  let isTaken = false;
  const last = takeOver(1).then(() => {
    isTaken = true;
  });
  await new Promise(setImmediate);
  expect(isTaken).toBe(false);
  await clock.advance(50);
  await last;
  expect(indexesOf(disk)).not.toHaveLength(0);
  await store.close();
});
