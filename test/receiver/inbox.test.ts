import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openFileInbox } from '../../src/receiver/file-inbox.ts';
import { type Copy, Inbox, type InboxStore } from '../../src/receiver/inbox.ts';
import { memoryInbox } from '../../src/receiver/memory-inbox.ts';
import { quiet } from '../world/eventually.ts';
import { now } from './signed.ts';

const dayMs = 86_400_000;

async function inFile(options: { keepDays: number; now: () => number }): Promise<InboxStore> {
  const folder = await mkdtemp(join(tmpdir(), 'inbox-'));
  const inbox = await openFileInbox(join(folder, 'inbox.jsonl'), options);
  onTestFinished(async () => {
    await inbox.close();
    await rm(folder, { recursive: true });
  });
  return inbox;
}

function copy(changes: Partial<Copy> = {}): Copy {
  return { eventId: 'evt_1', round: 1, signedAt: now, ...changes };
}

for (const { name, openStore } of [
  { name: 'in memory', openStore: async (options: Parameters<typeof inFile>[0]) => memoryInbox(options) },
  { name: 'in a file', openStore: inFile },
]) {
  describe(`an inbox ${name}`, () => {
    async function open() {
      const clock = { now };
      const store = await openStore({ keepDays: 35, now: () => clock.now });
      const inbox = new Inbox(store);
      let runs = 0;
      const handle = () => {
        runs += 1;
      };
      const receive = (changes?: Partial<Copy>) => inbox.receive(copy(changes), handle);
      return { clock, store, inbox, receive, runs: () => runs };
    }

    test('runs the handler once for an event, and knows later copies', async () => {
      const { receive, runs } = await open();
      expect(await receive()).toBe('handled');
      expect(await receive({ signedAt: now + 60_000 })).toBe('duplicate');
      expect(await receive({ eventId: 'evt_2' })).toBe('handled');
      expect(runs()).toBe(2);
    });

    test('two copies at once: one runs, the other waits for its result', async () => {
      const { inbox } = await open();
      let finish = () => {};
      const work = new Promise<void>((resolve) => {
        finish = resolve;
      });
      let runs = 0;
      const handle = () => {
        runs += 1;
        return work;
      };
      const settled: string[] = [];
      const copies = [inbox.receive(copy(), handle), inbox.receive(copy(), handle)];
      for (const one of copies) void one.then((receipt) => settled.push(receipt));
      await quiet();
      expect([runs, settled]).toEqual([1, []]);
      finish();
      expect(await Promise.all(copies)).toEqual(['handled', 'handled']);
      expect(runs).toBe(1);
    });

    test('a handler that fails fails the copies that waited for it, and the next copy runs again', async () => {
      const { inbox, receive, runs } = await open();
      const fails = () => Promise.reject(new Error('the database is down'));
      const copies = await Promise.allSettled([inbox.receive(copy(), fails), inbox.receive(copy(), fails)]);
      expect(copies.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
      expect(await receive()).toBe('handled');
      expect(runs()).toBe(1);
    });

    test('a handler that throws at once counts as one that failed', async () => {
      const { inbox, receive } = await open();
      const throws = () => {
        throw new Error('not a function');
      };
      await expect(inbox.receive(copy(), throws)).rejects.toThrow('not a function');
      expect(await receive()).toBe('handled');
    });

    test('an event that is being handled elsewhere is busy, and nothing runs', async () => {
      const { store, receive, runs } = await open();
      await store.claim(copy());
      expect(await receive()).toBe('busy');
      await store.release(copy());
      expect(await receive()).toBe('handled');
      expect(runs()).toBe(1);
    });

    for (const { round, signedAt, receipt, because } of [
      { round: 2, signedAt: now + 1_000, receipt: 'handled', because: 'it is a later round, signed later' },
      { round: 1, signedAt: now + 1_000, receipt: 'duplicate', because: 'it is a retry of the same round' },
      { round: 2, signedAt: now, receipt: 'duplicate', because: 'an old request was only called a replay' },
    ]) {
      test(`round ${round} after round 1 is ${receipt}: ${because}`, async () => {
        const { receive } = await open();
        await receive();
        expect(await receive({ round, signedAt })).toBe(receipt);
      });
    }

    test('a retry of a replay that was handled is a duplicate', async () => {
      const { receive, runs } = await open();
      await receive();
      await receive({ round: 2, signedAt: now + 1_000 });
      expect(await receive({ round: 2, signedAt: now + 2_000 })).toBe('duplicate');
      expect(runs()).toBe(2);
    });

    test('an event is forgotten when it is older than 35 days, and not before', async () => {
      const { clock, receive, runs } = await open();
      await receive();
      clock.now += 35 * dayMs;
      await receive({ eventId: 'evt_2' });
      expect(await receive()).toBe('duplicate');
      clock.now += 1;
      await receive({ eventId: 'evt_3' });
      expect(await receive()).toBe('handled');
      expect(runs()).toBe(4);
    });
  });
}

describe('a store of one’s own', () => {
  function fallible() {
    const store = memoryInbox({ now: () => now });
    const faults = { settle: false, release: false };
    const inbox = new Inbox({
      claim: (copy) => store.claim(copy),
      settle: (copy) => (faults.settle ? Promise.reject(new Error('disk full')) : store.settle(copy)),
      release: (copy) => (faults.release ? Promise.reject(new Error('gone')) : store.release(copy)),
    });
    return { inbox, faults };
  }

  test('that cannot write down an event: it is not acknowledged, not run twice, and nothing new is begun', async () => {
    const { inbox, faults } = fallible();
    const ran: string[] = [];
    const receive = (eventId: string) => inbox.receive(copy({ eventId }), () => void ran.push(eventId));
    faults.settle = true;
    await expect(receive('evt_1')).rejects.toThrow('disk full');
    await expect(receive('evt_1')).rejects.toThrow('disk full');
    await expect(receive('evt_2')).rejects.toThrow('disk full');
    faults.settle = false;
    expect(await receive('evt_1')).toBe('duplicate');
    expect(await receive('evt_2')).toBe('handled');
    expect(ran).toEqual(['evt_1', 'evt_2']);
  });

  test('that fails together with the handler: both are told', async () => {
    const { inbox, faults } = fallible();
    faults.release = true;
    const failed = inbox.receive(copy(), () => Promise.reject(new Error('the database is down')));
    await expect(failed).rejects.toMatchObject({
      errors: [{ message: 'the database is down' }, { message: 'gone' }],
    });
  });
});

test('how long to remember has to be a length of time', () => {
  for (const keepDays of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => memoryInbox({ keepDays })).toThrow(
      expect.objectContaining({ code: 'receiver_options_invalid' }),
    );
  }
});
