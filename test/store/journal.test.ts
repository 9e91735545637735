import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { StoreCorrupt } from '../../src/domain/errors.ts';
import type { Store } from '../../src/store/store.ts';
import { simulatedClock } from '../world/clock.ts';
import { folder, SimulatedDisk, seededRandom, storeOn } from '../world/disk.ts';
import { aClinic, aSubscriber } from './fixtures.ts';

const noon = Date.parse('2026-11-22T12:00:00Z');
const dayMs = 86_400_000;
const journalFolder = `${folder}/journal`;

/** The names that were recorded, in order: what each commit of these tests adds. */
async function recorded(store: Store): Promise<string[]> {
  const clinics = (await store.clinics()).map(({ id }) => id);
  const subscribers = (await store.subscribers()).subscribers.map(({ id }) => id);
  return [...clinics, ...subscribers];
}

/**
 * Two parts: one of yesterday, one of today. Today's holds batches of one and of three
 * commits, and none of it is in a checkpoint.
 */
async function aJournal() {
  const disk = new SimulatedDisk();
  const clock = simulatedClock(noon);
  const store = await storeOn(disk, clock);
  await store.saveClinic(aClinic('c1', 'One'));
  await clock.advance(dayMs);
  await store.saveClinic(aClinic('c2', 'Two'));
  /** After each batch: how long the last part is, and how many names are on record. */
  const synced: { bytes: number; names: number }[] = [];
  const [first, last] = partsOf(disk) as [string, string];
  const note = (names: number) => synced.push({ bytes: disk.contents(last).length, names });
  note(2);
  await Promise.all([
    store.saveClinic(aClinic('c3', 'Three')),
    store.saveClinic(aClinic('c4', 'Four')),
    store.follow('c4', [
      { category: 'orders', startAt: 0 },
      { category: 'patients', startAt: 0 },
    ]),
  ]);
  note(4);
  await store.addSubscriber(aSubscriber('s1'));
  note(5);
  await store.addSubscriber(aSubscriber('s2'));
  note(6);
  const whole = ['c1', 'c2', 'c3', 'c4', 's1', 's2'];
  return { disk: disk.kill(), clock, first, last, synced, whole };
}

function partsOf(disk: SimulatedDisk): string[] {
  return disk.paths.filter((path) => path.endsWith('.jsonl'));
}

async function openedOn(disk: SimulatedDisk) {
  const store = await storeOn(disk, simulatedClock(noon + dayMs + 1));
  return { store, names: await recorded(store) };
}

/** The names that a start finds, or the refusal. */
async function outcomeOf(disk: SimulatedDisk): Promise<{ names: string[] } | { refused: StoreCorrupt }> {
  try {
    const { names } = await openedOn(disk);
    return { names };
  } catch (error) {
    if (error instanceof StoreCorrupt) return { refused: error };
    throw error;
  }
}

describe('a torn journal', () => {
  test('cases 22 and 50: cut at every byte, it opens with exactly the whole commits before the cut', async () => {
    const { disk, last, synced, whole } = await aJournal();
    const bytes = disk.contents(last);
    const checkpointed = synced[0]?.names === 2 ? 1 : 0;
    let opened = 0;
    for (let length = 0; length < bytes.length; length++) {
      const cut = disk.kill();
      cut.put(last, bytes.subarray(0, length));
      const outcome = await outcomeOf(cut);
      const kept = synced.findLast((batch) => batch.bytes <= length)?.names ?? checkpointed;
      if ('refused' in outcome) {
        // The checkpoint of the day's start says that the part's header was synced.
        expect(kept, `cut at ${length}: ${outcome.refused.message}`).toBe(checkpointed);
        continue;
      }
      opened++;
      expect(outcome.names, `cut at ${length}`).toEqual(whole.slice(0, outcome.names.length));
      expect(outcome.names.length, `cut at ${length}`).toBeGreaterThanOrEqual(kept);
      expect(outcome.names.length, `cut at ${length}`).toBeLessThan(whole.length);
    }
    expect(opened).toBeGreaterThan(bytes.length / 2);
  });

  test('case 51: with any one bit flipped it is refused, or its last batch is cut; nothing is ever different', async () => {
    const { disk, first, last, synced, whole } = await aJournal();
    const lastBatchAt = synced.at(-2)?.bytes ?? 0;
    for (const path of [first, last]) {
      const bytes = disk.contents(path);
      for (let at = 0; at < bytes.length; at++) {
        const damaged = disk.kill();
        const flipped = Buffer.from(bytes);
        flipped[at] = (flipped[at] as number) ^ (1 << (at % 8));
        damaged.put(path, flipped);
        const outcome = await outcomeOf(damaged);
        if ('refused' in outcome) {
          expect(outcome.refused.message, `byte ${at}`).toMatch(/\.jsonl, line \d+/);
        } else {
          expect(outcome.names, `byte ${at} of ${path}`).toEqual(whole.slice(0, -1));
          expect(path === last && at >= lastBatchAt, `byte ${at} of ${path} is in the last batch`).toBe(true);
        }
      }
    }
  });

  test('case 51: a flipped bit in the last batch is cut off, kept aside and told', async () => {
    const { disk, last, synced } = await aJournal();
    const bytes = disk.contents(last);
    const at = (synced.at(-2)?.bytes ?? 0) + 30;
    bytes[at] = (bytes[at] as number) ^ 1;
    disk.put(last, bytes);
    const { store } = await openedOn(disk);
    expect(store.recovery.cut).toMatchObject({ file: '2026-11-23.jsonl', at: synced.at(-2)?.bytes });
    expect(disk.contents(`${last}.torn`)).toEqual(bytes.subarray(synced.at(-2)?.bytes));
    const newest = disk.contents(`${journalFolder}/2026-11-23.2.jsonl`).toString();
    expect(newest.split('\n')[0]).toContain('"cut":{"file":"2026-11-23.jsonl"');
  });

  test('case 52: with a 512-byte hole of zeros anywhere it is refused, or its last batch is cut', async () => {
    const { disk, first, last, synced, whole } = await aJournal();
    const lastBatchAt = synced.at(-2)?.bytes ?? 0;
    for (const path of [first, last]) {
      const bytes = disk.contents(path);
      for (let at = 0; at < bytes.length; at += 64) {
        const damaged = disk.kill();
        damaged.put(path, Buffer.from(bytes).fill(0, at, Math.min(at + 512, bytes.length)));
        const outcome = await outcomeOf(damaged);
        if ('refused' in outcome) continue;
        expect(path === last && at >= lastBatchAt, `hole at ${at}`).toBe(true);
        expect(outcome.names).toEqual(whole.slice(0, -1));
      }
    }
  });

  for (const { tail, because } of [
    { tail: Buffer.alloc(5_000), because: 'case 53: zeros after the end are cut off' },
    {
      tail: Buffer.from(Array.from({ length: 5_000 }, seededBytes(7))),
      because: 'case 54: random bytes after the end are cut off and kept aside',
    },
    { tail: Buffer.alloc(2_500_000, 'x'), because: 'a tail longer than any line is cut off' },
    { tail: Buffer.from('{"c":"00000000","p'), because: 'half a line after the end is cut off' },
    { tail: Buffer.from('\n'), because: 'an empty line after the end is cut off' },
  ]) {
    test(because, async () => {
      const { disk, last, whole } = await aJournal();
      const bytes = disk.contents(last);
      disk.put(last, Buffer.concat([bytes, tail]));
      const { names } = await openedOn(disk);
      expect(names).toEqual(whole);
      expect(disk.contents(last).equals(bytes)).toBe(true);
      expect(disk.contents(`${last}.torn`).equals(tail)).toBe(true);
    });
  }

  test('case 23: a crash after the cut and before anything else comes to the same end', async () => {
    const { disk, last, whole } = await aJournal();
    disk.put(last, Buffer.concat([disk.contents(last), Buffer.from('half a li')]));
    for (const operation of ['writeNew', 'truncate', 'rewrite', 'syncFolder', 'open', 'datasync'] as const) {
      const cut = disk.kill();
      cut.failNext(operation, 'EIO', { path: operation === 'syncFolder' ? 'journal' : '' });
      await expect(openedOn(cut), operation).rejects.toMatchObject({ code: 'store_unusable' });
      expect((await openedOn(cut.kill())).names, operation).toEqual(whole);
      expect((await openedOn(cut.powerCut(seededRandom(3)))).names, operation).toEqual(whole);
    }
  });
});

describe('a journal that somebody changed', () => {
  const lines = (bytes: Buffer): string[] => bytes.toString().split('\n').slice(0, -1);
  const text = (all: readonly string[]): string => `${all.join('\n')}\n`;

  test('case 55: any line but of the last batch deleted, doubled or swapped is refused, naming file and line', async () => {
    const { disk, last } = await aJournal();
    const all = lines(disk.contents(last));
    for (let at = 0; at < all.length - 2; at++) {
      const [line, next] = [all[at] as string, all[at + 1] as string];
      for (const changed of [
        all.toSpliced(at, 1),
        all.toSpliced(at, 0, line),
        all.toSpliced(at, 2, next, line),
      ]) {
        const damaged = disk.kill();
        damaged.put(last, text(changed));
        const outcome = await outcomeOf(damaged);
        expect(outcome, `line ${at + 1}`).toHaveProperty('refused');
        if ('refused' in outcome) expect(outcome.refused.message).toMatch(/\.jsonl, line \d+/);
      }
    }
  });

  test('case 55: after a tidy close the last line cannot go unnoticed either', async () => {
    const { disk } = await aJournal();
    const { store } = await openedOn(disk);
    await store.saveClinic(aClinic('c9', 'Nine'));
    await store.close();
    const newest = `${journalFolder}/2026-11-23.2.jsonl`;
    disk.put(newest, text(lines(disk.contents(newest)).slice(0, -1)));
    await expect(openedOn(disk)).rejects.toThrow(/line \d+ was written and synced/);
  });

  test('case 58: a part that is missing between two is refused', async () => {
    const { disk, last } = await aJournal();
    await openedOn(disk);
    disk.take(last);
    await expect(openedOn(disk)).rejects.toThrow(/2026-11-23\.2\.jsonl, line 1 does not follow/);
  });

  test('case 58: a journal without its beginning is refused', async () => {
    const { disk, first } = await aJournal();
    disk.take(first);
    await expect(openedOn(disk)).rejects.toThrow(/the lines before it are missing/);
  });

  test('case 59: an old part that was copied back is refused', async () => {
    const { disk, first } = await aJournal();
    disk.put(`${journalFolder}/2026-11-22.9.jsonl`, disk.contents(first));
    await expect(openedOn(disk)).rejects.toThrow(StoreCorrupt);
  });

  test('another store’s part is refused, in place of ours and beside it', async () => {
    const { disk, first } = await aJournal();
    const { disk: other } = await aJournal();
    const replaced = disk.kill();
    replaced.put(first, other.contents(first));
    await expect(openedOn(replaced)).rejects.toThrow(StoreCorrupt);
    disk.put(`${journalFolder}/2026-11-24.jsonl`, other.contents(first));
    await expect(openedOn(disk)).rejects.toThrow(/belongs to another store/);
  });

  test('case 60: a newer format is refused', async () => {
    const { disk, last } = await aJournal();
    const { writeLine } = await import('../../src/store/file/journal-line.ts');
    const all = lines(disk.contents(last));
    const header = JSON.parse(all[0] as string) as { p: string; s: number; b: number };
    const { p: previous, s: sequence, b: batch, ...rest } = header;
    const fact = JSON.stringify({ ...rest, c: undefined, format: 2 });
    const { text: line } = writeLine(fact, { sequence, batch, previous });
    disk.put(last, text([line, ...all.slice(1)]));
    await expect(openedOn(disk)).rejects.toThrow(/newer version of the relay \(format 2\)/);
  });

  test('case 68: parts are read by their sequence, whatever their names and times say', async () => {
    const { disk, first, last, whole } = await aJournal();
    const [older, newer] = [disk.contents(first), disk.contents(last)];
    disk.put(first, newer);
    disk.put(last, older);
    expect((await openedOn(disk)).names).toEqual(whole);
  });
});

describe('the checkpoint', () => {
  const checkpoint = `${folder}/checkpoint.json`;
  const previous = `${checkpoint}.previous`;

  /** As somebody without the master key would write it again; its digest is right. */
  function forged(disk: SimulatedDisk, path: string, { mac }: { readonly mac: 'kept' | 'left out' }): string {
    const text = disk.contents(path).toString();
    const body = text
      .slice(text.indexOf('"checkpoint":') + '"checkpoint":'.length, text.lastIndexOf('}'))
      .replaceAll('One', 'Two');
    const sha256 = createHash('sha256').update(body).digest('hex');
    const code = mac === 'kept' ? `"mac":"${JSON.parse(text).mac}",` : '';
    return `{"sha256":"${sha256}",${code}"checkpoint":${body}}\n`;
  }

  test('that somebody without the master key wrote again is not believed', async () => {
    const { disk } = await aJournal();
    const refused = disk.kill();
    refused.put(checkpoint, forged(disk, checkpoint, { mac: 'kept' }));
    await expect(openedOn(refused)).rejects.toMatchObject({ code: 'checkpoint_corrupt' });
  });

  test('that nobody vouches for, as an older version wrote it, says only how far the journal has to reach', async () => {
    const { disk, whole } = await aJournal();
    const old = disk.kill();
    for (const path of [checkpoint, previous]) old.put(path, forged(disk, path, { mac: 'left out' }));
    const cut = old.kill();
    const { store, names } = await openedOn(old);
    expect(names).toEqual(whole);
    expect((await store.clinics()).map(({ name }) => name)).toContain('One');
    expect(old.contents(checkpoint).toString()).toContain('"mac"');
    for (const path of cut.paths.filter((each) => each.endsWith('.jsonl'))) cut.take(path);
    await expect(openedOn(cut)).rejects.toThrow(StoreCorrupt);
  });

  test('case 57: when it is damaged the one before it is used, and the state is the same', async () => {
    const { disk, whole } = await aJournal();
    for (const damage of ['', '{}', 'null', `${disk.contents(checkpoint)}`.replace('One', 'Two')]) {
      const damaged = disk.kill();
      damaged.put(checkpoint, damage);
      expect((await openedOn(damaged)).names, damage.slice(0, 10)).toEqual(whole);
    }
  });

  test('when both are damaged the start is refused', async () => {
    const { disk } = await aJournal();
    disk.put(checkpoint, 'x');
    disk.put(previous, 'x');
    await expect(openedOn(disk)).rejects.toMatchObject({ code: 'checkpoint_corrupt' });
  });

  test('another store’s is refused', async () => {
    const { disk } = await aJournal();
    const { disk: other } = await aJournal();
    disk.put(checkpoint, other.contents(checkpoint));
    await expect(openedOn(disk)).rejects.toMatchObject({ code: 'checkpoint_corrupt' });
  });

  test('case 56: without its journal it is refused', async () => {
    const { disk } = await aJournal();
    for (const path of partsOf(disk)) disk.take(path);
    await expect(openedOn(disk)).rejects.toMatchObject({ code: 'journal_corrupt' });
  });

  test('case 17: a half-written one beside it is ignored and replaced', async () => {
    const { disk, whole } = await aJournal();
    disk.put(`${checkpoint}.tmp`, '{"sha');
    disk.put(`${folder}/keys.json.tmp`, '{"for');
    expect((await openedOn(disk)).names).toEqual(whole);
    expect(disk.paths).not.toContain(`${checkpoint}.tmp`);
  });

  test('cases 17 to 19: a power cut anywhere while it is written leaves the same state', async () => {
    const { disk, whole } = await aJournal();
    const random = seededRandom(11);
    const left: SimulatedDisk[] = [];
    disk.hook = (_, path) => {
      if (path.startsWith(checkpoint) || path === folder) left.push(disk.powerCut(random));
      return null;
    };
    await openedOn(disk);
    expect(left.length).toBeGreaterThan(5);
    for (const cut of left) expect((await openedOn(cut)).names).toEqual(whole);
  });
});

function seededBytes(seed: number): () => number {
  const random = seededRandom(seed);
  return () => Math.floor(random() * 256);
}
