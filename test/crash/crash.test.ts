import { expect, test } from 'vitest';
import { seededRandom } from '../../src/sandbox/random.ts';
import { casesOf } from './cases.ts';
import { Fate } from './doom.ts';
import { judge, Ledger } from './ledger.ts';
import { type Row, runTrials } from './matrix.ts';
import { pointOfFact } from './named-points.ts';
import { builtRelay } from './relay.ts';
import { errorTrials, killTrials, nameOf } from './trials.ts';

const killsMax = 20;

/** Kills at some named points, at one step of each, and an error of each kind: `npm run test:crash` does them all, many times. */
function share() {
  const random = seededRandom(Date.now());
  const titles = new Set(killTrials.map(({ title }) => title));
  while (titles.size > killsMax) titles.delete(random.pick([...titles]));
  const kills = [...titles].map((name) => random.pick(killTrials.filter(({ title }) => title === name)));
  const codes = [...new Set(errorTrials.map(({ error }) => error))];
  const errors = codes.map((code) =>
    random.pick(errorTrials.filter(({ error, deed }) => error === code && deed !== 'start')),
  );
  return { kills, errors };
}

test('the relay killed at named points, and on a disk that fails in every way, loses nothing and goes on by itself', async () => {
  const { kills, errors } = share();
  const relay = await builtRelay();
  const rows: Row[] = [];
  const faults: string[] = [];
  try {
    await Promise.all(
      [kills, errors].map((trials, job) =>
        runTrials({
          program: relay.path,
          seed: Date.now() + job,
          trials,
          onTried(row, found) {
            rows.push(row);
            faults.push(...found.map((fault) => `${nameOf(row.trial)}: ${fault}`));
          },
        }),
      ),
    );
  } finally {
    relay.discard();
  }
  expect(faults).toEqual([]);
  expect(rows).toHaveLength(kills.length + errors.length);
  expect(rows.filter(({ met }) => met > 0).length).toBeGreaterThan(rows.length / 2);
}, 600_000);

const event = { id: 'e1', text: '{"id":"e1"}', createdAt: 5 } as Parameters<typeof judge>[1][number];
const request = (headers: Record<string, string>, body = event.text) => ({
  method: 'POST',
  path: '/',
  headers: { 'relay-delivery-id': 'd1', 'relay-attempt': '1', 'relay-sequence': '1', ...headers },
  body: Buffer.from(body),
});

for (const { receipts, unknown, finds, because } of [
  { receipts: [], unknown: 0, finds: 'e1', because: 'nothing came' },
  {
    receipts: [request({}), request({ 'relay-attempt': '2' })],
    unknown: 0,
    finds: 'accepted 2 times',
    because: 'it came again without need',
  },
  {
    receipts: [request({}), request({ 'relay-attempt': '2', 'relay-delivery-id': 'd2' })],
    unknown: 1,
    finds: 'a second delivery',
    because: 'it was enqueued twice',
  },
  { receipts: [request({}, '{"id": "e1"}')], unknown: 0, finds: 'other bytes', because: 'its text changed' },
  {
    receipts: [request({}), request({})],
    unknown: 1,
    finds: 'numbered again',
    because: 'an attempt number was used twice',
  },
  {
    receipts: [request({ 'relay-sequence': '2' })],
    unknown: 0,
    finds: 'sequence 2 where 1 belongs',
    because: 'the sequence has a gap',
  },
]) {
  test(`the books of the subscribers do not balance: ${because}`, async () => {
    const ledger = new Ledger('books', 0);
    for (const each of receipts) ledger.answer(each);
    const { lost, wrong } = await judge(ledger, [event], async () => unknown);
    expect([...lost, ...wrong].join('; ')).toContain(finds);
  });
}

test('a doom is met at its point, its step and its time, and nowhere else', async () => {
  const met: string[] = [];
  const fate = new Fate(() => met.push('told'));
  const error = { code: 'ENOSPC', times: 2 };
  fate.arm({ point: 'record', step: 'write', when: 'before', nth: 2, error });
  const step = async (points: string[], name: 'write' | 'sync') =>
    fate
      .meet(points, name, { whole: async () => 'done', failure: (failure) => failure })
      .catch((failure: Error) => failure.message);
  expect([
    await step(['record'], 'sync'),
    await step(['claim'], 'write'),
    await step(['claim', 'record'], 'write'),
    await step(['record'], 'write'),
    await step(['claim'], 'write'),
    await step(['record'], 'write'),
  ]).toEqual(['done', 'done', 'done', 'ENOSPC: injected', 'ENOSPC: injected', 'done']);
  expect(met).toEqual(['told']);
});

/** Facts that no trial waits for, and what holds them to whole or not at all. */
const heldElsewhere: Readonly<Record<string, string>> = {
  'claim given back': 'comes by only when a process has no more files: store/disk-trouble.test.ts',
  restored: 'cut off between any two operations: store/backup.test.ts',
};

test('each kind of fact that the store writes is a point at which the relay is killed', () => {
  const tried = new Set([...killTrials.map(({ point }) => point), ...Object.keys(heldElsewhere)]);
  expect(Object.values(pointOfFact).filter((point) => !tried.has(point))).toEqual([]);
});

test('each fault case that the matrix names is one of its trials', () => {
  expect(killTrials.map(nameOf)).toEqual(expect.arrayContaining(Object.keys(casesOf)));
});
