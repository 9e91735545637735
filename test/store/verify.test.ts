import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { writeLine } from '../../src/store/file/journal-line.ts';
import { KeyRing } from '../../src/store/file/keys.ts';
import { verifyLog } from '../../src/store/file/verify.ts';
import { simulatedClock } from '../world/clock.ts';
import { folder, interrupted, SimulatedDisk, storeOn } from '../world/disk.ts';
import { anEvent, claim, furnished, record, refused } from './fixtures.ts';

const noon = Date.parse('2026-11-22T12:00:00Z');
const masterKeys = { current: Buffer.alloc(32, 7), previous: null };
const firstPart = `${folder}/journal/2026-11-22.jsonl`;
const secondPart = `${folder}/journal/2026-11-23.jsonl`;
const firstBodies = `${folder}/bodies/2026-11-22.sealed`;

const verify = (disk: SimulatedDisk) => verifyLog(disk, folder, masterKeys);

/** Two days of a relay that goes on: three events, refused once each. */
async function twoDays() {
  const clock = simulatedClock(noon);
  const disk = new SimulatedDisk();
  const store = await storeOn(disk, clock);
  await furnished(store);
  await record(store, [anEvent('e1'), anEvent('e2')]);
  for (const claimed of await claim(store)) await store.recordAttempt(claimed, refused);
  await clock.advance(86_400_000);
  await record(store, [anEvent('e3')]);
  for (const claimed of await claim(store)) await store.recordAttempt(claimed, refused);
  return { disk, store, clock };
}

const linesOf = (disk: SimulatedDisk, path: string) =>
  disk.contents(path).toString().split('\n').slice(0, -1);

/** Writes lines again with numbers and checksums that follow one another, as anybody can. */
function forge(disk: SimulatedDisk, path: string, facts: readonly string[]): void {
  let previous = '00000000';
  const lines = facts.map((text) => {
    const { c: _c, p: _p, s, b: batch, ...fact } = JSON.parse(text);
    const { text: line, checksum } = writeLine(JSON.stringify(fact), { sequence: s, batch, previous });
    previous = checksum;
    return line;
  });
  disk.put(path, `${lines.join('\n')}\n`);
}

describe('the whole log, verified', () => {
  test('is counted line by line, commit by commit, body by body, and nothing on the disk changes', async () => {
    const { disk } = await twoDays();
    const writes: string[] = [];
    disk.hook = (operation, path) => {
      if (!['list', 'read', 'open'].includes(operation)) writes.push(`${operation} ${path}`);
      return null;
    };
    const log = await verify(disk);
    const lines = [...linesOf(disk, firstPart), ...linesOf(disk, secondPart)];
    expect(log).toMatchObject({
      parts: 2,
      lines: lines.length,
      sequence: lines.length,
      commits: lines.filter((line) => line.includes('"t":"commit"')).length,
      // Three bodies and the excerpts of five refusals.
      bodies: 8,
      droppedBodies: 0,
      damagedBodies: { count: 0, first: [] },
      from: noon,
      until: noon + 86_400_000,
      isCheckpointDamaged: false,
      unfinishedBytes: 0,
    });
    expect(writes).toEqual([]);
  });

  test('holds at every moment of a relay that goes on writing, the change of the day included', async () => {
    const clock = simulatedClock(noon);
    const disk = new SimulatedDisk();
    const store = await storeOn(disk, clock);
    await furnished(store);
    await record(store, [anEvent('e1'), anEvent('e2')]);
    const moments: SimulatedDisk[] = [];
    disk.hook = () => {
      moments.push(disk.kill());
      return null;
    };
    for (const claimed of await claim(store)) await store.recordAttempt(claimed, refused);
    await clock.advance(86_400_000);
    await record(store, [anEvent('e3')]);
    expect(moments.length).toBeGreaterThan(20);
    for (const moment of moments) expect((await verify(moment)).damagedBodies.count).toBe(0);
  });

  test('holds when the relay works through a day between any two of its operations', async () => {
    let isReached = true;
    for (let at = 0; isReached; at++) {
      const { disk, store, clock } = await twoDays();
      let operations = 0;
      const busy = interrupted(disk, async () => {
        if (operations++ !== at) return;
        await record(store, [anEvent('before midnight')]);
        await clock.advance(86_400_000);
        await record(store, [anEvent('after midnight')]);
      });
      expect((await verifyLog(busy, folder, masterKeys)).damagedBodies.count).toBe(0);
      isReached = operations > at;
      if (!isReached) expect(at).toBeGreaterThan(8);
    }
  });

  test('takes a batch that is half written for no fault, and says how much of it there is', async () => {
    const { disk } = await twoDays();
    const whole = await verify(disk);
    disk.put(secondPart, Buffer.concat([disk.contents(secondPart), Buffer.from('{"c":"0011')]));
    expect(await verify(disk)).toEqual({ ...whole, unfinishedBytes: 10 });
  });

  test('is read once more when files went away under it, and no further than that', async () => {
    const { disk } = await twoDays();
    disk.failNext('open', 'ENOENT', { path: '2026-11-23.jsonl' });
    expect((await verify(disk)).parts).toBe(2);
    disk.hook = (operation) => (operation === 'open' ? { code: 'EIO' } : null);
    await expect(verify(disk)).rejects.toMatchObject({ code: 'EIO' });
  });

  test('says so where there is no log', async () => {
    await expect(verify(new SimulatedDisk())).rejects.toMatchObject({ code: 'store_missing' });
  });
});

describe('what somebody without the master key has written', () => {
  test('a line changed under right checksums is found, with its file and lines', async () => {
    const { disk } = await twoDays();
    const lines = linesOf(disk, firstPart);
    const at = lines.findIndex((line) => line.includes('"t":"subscriber"'));
    forge(
      disk,
      firstPart,
      lines.map((line) => line.replace('ehr.example', 'evil.example')),
    );
    await expect(verify(disk)).rejects.toThrow(
      `2026-11-22.jsonl, lines ${at + 1} to ${at + 2} are a commit that was not written under this store's keys.`,
    );
  });

  test('a whole commit of his own at the end is found', async () => {
    const { disk } = await twoDays();
    const lines = linesOf(disk, secondPart);
    const last = JSON.parse(lines.at(-1) ?? '');
    const forged = JSON.parse(lines.at(-2) ?? '');
    const own = writeLine(JSON.stringify({ t: forged.t, at: forged.at, of: [] }), {
      sequence: last.s + 1,
      batch: last.b + 1,
      previous: last.c,
    });
    const marker = writeLine(JSON.stringify({ t: 'commit', n: 1, k: last.k, m: last.m, z: 1 }), {
      sequence: last.s + 2,
      batch: last.b + 1,
      previous: own.checksum,
    });
    disk.put(secondPart, `${[...lines, own.text, marker.text].join('\n')}\n`);
    await expect(verify(disk)).rejects.toThrow(/lines \d+ to \d+ are a commit that was not written/);
  });

  test('two commits that changed places are found, as they are and with numbers and checksums made right', async () => {
    const { disk } = await twoDays();
    const lines = linesOf(disk, firstPart);
    const ends = lines.flatMap((line, at) => (line.includes('"t":"commit"') ? [at + 1] : []));
    const [from = 0, middle = 0, to = 0] = ends.slice(2);
    const swapped = [...lines.slice(0, from), ...lines.slice(middle, to), ...lines.slice(from, middle)];
    disk.put(firstPart, `${[...swapped, ...lines.slice(to)].join('\n')}\n`);
    await expect(verify(disk)).rejects.toThrow(
      `2026-11-22.jsonl, line ${from + 1} does not follow the line before it`,
    );
    const renumbered = [...swapped, ...lines.slice(to)].map((line, at) =>
      JSON.stringify({ ...JSON.parse(line), s: at + 1 }),
    );
    forge(disk, firstPart, renumbered);
    await expect(verify(disk)).rejects.toThrow(`2026-11-22.jsonl, lines ${from + 1} to `);
  });

  test('a tail cut off behind the checkpoint is found', async () => {
    const { disk, store } = await twoDays();
    await store.close();
    const lines = linesOf(disk, secondPart);
    disk.put(secondPart, `${lines.slice(0, -4).join('\n')}\n`);
    await expect(verify(disk)).rejects.toThrow(/line \d+ was written and synced, and only \d+ can be read/);
  });

  test('a whole day taken away is found, at either end', async () => {
    for (const { path, says } of [
      { path: firstPart, says: /the lines before it are missing/ },
      { path: secondPart, says: /was written and synced/ },
    ]) {
      const { disk, store } = await twoDays();
      await store.close();
      disk.take(path);
      await expect(verify(disk)).rejects.toThrow(says);
    }
  });

  test('a body replaced by another one, changed or taken away is named, and the others are still counted', async () => {
    const { disk: model } = await twoDays();
    const [first, second] = linesOf(model, firstPart)
      .map((line) => JSON.parse(line))
      .filter(({ t }) => t === 'event')
      .map(({ row }) => row.body);
    const bytes = model.contents(firstBodies);
    const replaced = Buffer.from(bytes);
    bytes.copy(replaced, first.at, second.at, second.at + second.length);
    const changed = Buffer.from(bytes);
    changed[first.at + 40] = (changed[first.at + 40] as number) ^ 1;
    for (const content of [replaced, changed]) {
      const disk = model.kill();
      disk.put(firstBodies, content);
      const { damagedBodies, bodies } = await verify(disk);
      expect(damagedBodies.count).toBe(1);
      expect(damagedBodies.first[0]).toMatch(
        /^the body of event e1 of clinic clinic-1, .*2026-11-22.sealed at byte 0: /,
      );
      expect(bodies).toBe(7);
    }
    const disk = model.kill();
    disk.take(firstBodies);
    expect((await verify(disk)).damagedBodies.count).toBe(4);
  });

  test('a body that was moved under another event’s name by a line made to fit is found', async () => {
    const { disk } = await twoDays();
    const lines = linesOf(disk, firstPart);
    const [first, second] = lines
      .map((line) => JSON.parse(line))
      .filter(({ t }) => t === 'event')
      .map(({ row }) => row.body);
    forge(
      disk,
      firstPart,
      lines.map((line) => line.replace(JSON.stringify(first), JSON.stringify(second))),
    );
    await expect(verify(disk)).rejects.toThrow(/not written under this store's keys/);
  });

  test('a wrong master key is told from a forged log', async () => {
    const { disk } = await twoDays();
    await expect(
      verifyLog(disk, folder, { current: Buffer.alloc(32, 8), previous: null }),
    ).rejects.toMatchObject({ code: 'wrong_master_key' });
  });
});

test('bodies whose key somebody dropped are damaged: nothing on record says that they are to go', async () => {
  const { disk, store } = await twoDays();
  await store.close();
  await (await KeyRing.open(disk, folder, masterKeys)).drop('body', '2026-11-22');
  expect(await verify(disk)).toMatchObject({ bodies: 4, droppedBodies: 0, damagedBodies: { count: 4 } });
});

test('a damaged checkpoint is said, while the one before it still counts', async () => {
  const { disk, store } = await twoDays();
  await store.close();
  const path = `${folder}/checkpoint.json`;
  disk.put(path, disk.contents(path).toString().replace('Washington', 'Nashington'));
  expect(await verify(disk)).toMatchObject({ isCheckpointDamaged: true });
  disk.take(`${path}.previous`);
  await expect(verify(disk)).rejects.toMatchObject({ code: 'checkpoint_corrupt' });
});

test('a checkpoint that somebody wrote again, with the right digest, is held against the journal and found', async () => {
  const { disk: model, store } = await twoDays();
  await store.close();
  const path = `${folder}/checkpoint.json`;
  const text = model.contents(path).toString();
  for (const { from, to, says } of [
    { from: 'ehr.example', to: 'evil.example', says: 'subscribers sub_1' },
    { from: '"name":"Washington"', to: '"name":"Elsewhere"', says: 'clinics clinic-1' },
  ]) {
    const disk = model.kill();
    const body = text.slice(text.indexOf('"checkpoint":') + 13, text.lastIndexOf('}')).replaceAll(from, to);
    const sha256 = createHash('sha256').update(body).digest('hex');
    disk.put(path, `{"sha256":"${sha256}","checkpoint":${body}}\n`);
    await expect(verify(disk)).rejects.toThrow(
      `The checkpoint says something else than the journal of ${says}.`,
    );
    disk.take(path);
    disk.take(`${path}.previous`);
    const again = await storeOn(disk, simulatedClock(noon + 2 * 86_400_000));
    expect((await again.subscribers()).subscribers[0]?.url).toBe('https://ehr.example/hook');
    await again.close();
    expect((await verify(disk)).damagedBodies.count).toBe(0);
  }
});
