import { describe, expect, test } from 'vitest';
import { JobRuns } from '../../src/delivery/job-runs.ts';
import { asReplayJob, newReplayJob, type ReplayJob } from '../../src/delivery/replay.ts';
import { NotFound, StoreUnavailable } from '../../src/domain/errors.ts';
import type { Job } from '../../src/store/store.ts';
import { simulatedClock } from '../world/clock.ts';

const full = new StoreUnavailable('disk_full', 'The disk is full.', { hint: 'Free some space.' });

function aReplay(id: string, changes: Partial<ReplayJob> = {}): ReplayJob {
  const ask = { state: 'failed', subscriberIds: [] } as const;
  return { ...newReplayJob(ask, { owner: 'owner', matched: 1, now: 1 }), id, ...changes };
}

/** Runs that go on until they are halted, over a store that may be full. */
function runsOver(...jobs: readonly Job[]) {
  const stored = new Map(jobs.map((job) => [job.id, job]));
  const store = {
    isFull: false,
    job: async (id: string) => stored.get(id) ?? null,
    jobs: async () => [...stored.values()],
    async saveJob(job: Job) {
      if (store.isFull) throw full;
      stored.set(job.id, job);
    },
  };
  const begun: string[] = [];
  const halted: string[] = [];
  const fatal: unknown[] = [];
  const runs = new JobRuns<ReplayJob>({
    store,
    clock: simulatedClock(5_000),
    kind: 'replay',
    asKind: asReplayJob,
    async run({ id, owner }, halt) {
      begun.push(id);
      if (owner === 'faulty') throw new Error('a fault');
      await new Promise<void>((resolve) => halt.addEventListener('abort', () => resolve()));
      halted.push(id);
    },
    onFatal: (error) => fatal.push(error),
  });
  return { runs, store, stored, begun, halted, fatal };
}

describe('stored jobs', () => {
  test('a restart goes on with those of its kind that have not ended, and runs none twice', async () => {
    const done = aReplay('rpl_done', { state: 'done', endedAt: 2 });
    const { runs, begun } = runsOver(aReplay('rpl_1'), done, { ...aReplay('bkf_1'), kind: 'backfill' });
    await runs.resume();
    await runs.resume();
    runs.begin(aReplay('rpl_1'));
    expect(begun).toEqual(['rpl_1']);
  });

  test('one that is cancelled is halted before that is on record', async () => {
    const { runs, stored, halted } = runsOver(aReplay('rpl_1'));
    await runs.resume();
    expect(await runs.cancel('rpl_1')).toMatchObject({ state: 'cancelled', endedAt: 5_000 });
    expect(halted).toEqual(['rpl_1']);
    expect(stored.get('rpl_1')).toMatchObject({ state: 'cancelled', endedAt: 5_000 });
  });

  test('one that has ended is not cancelled any more', async () => {
    const done = aReplay('rpl_done', { state: 'done', endedAt: 2 });
    const { runs, stored } = runsOver(done);
    expect(await runs.cancel('rpl_done')).toEqual(done);
    expect(stored.get('rpl_done')).toEqual(done);
  });

  test('one of another kind, and one that is not there, cannot be cancelled', async () => {
    const { runs } = runsOver({ ...aReplay('bkf_1'), kind: 'backfill' });
    for (const id of ['bkf_1', 'rpl_unknown']) await expect(runs.cancel(id)).rejects.toThrow(NotFound);
  });

  test('one whose end cannot be put on record goes on', async () => {
    const { runs, store, stored, begun } = runsOver(aReplay('rpl_1'));
    await runs.resume();
    store.isFull = true;
    await expect(runs.cancel('rpl_1')).rejects.toThrow(full);
    expect(begun).toEqual(['rpl_1', 'rpl_1']);
    expect(stored.get('rpl_1')).toMatchObject({ state: 'running' });
    store.isFull = false;
    expect(await runs.cancel('rpl_1')).toMatchObject({ state: 'cancelled' });
  });

  test('after a stop all have halted, are still on record as they were, and none begins', async () => {
    const { runs, stored, begun, halted } = runsOver(aReplay('rpl_1'), aReplay('rpl_2'));
    await runs.resume();
    await runs.stop();
    expect(halted).toEqual(['rpl_1', 'rpl_2']);
    runs.begin(aReplay('rpl_3'));
    expect(begun).toEqual(['rpl_1', 'rpl_2']);
    expect([...stored.values()].map(({ state }) => state)).toEqual(['running', 'running']);
  });

  test('a fault of a run ends the relay', async () => {
    const { runs, fatal } = runsOver(aReplay('rpl_1', { owner: 'faulty' }));
    await runs.resume();
    await runs.stop();
    expect(fatal).toEqual([new Error('a fault')]);
  });
});
