import { expect, test } from 'vitest';
import { Commits, type Parts } from '../../src/store/file/commits.ts';
import { type LogRows, NotInMemory } from '../../src/store/file/log-rows.ts';
import type { State } from '../../src/store/file/state.ts';
import { UndoLog } from '../../src/store/file/table.ts';
import { simulatedClock } from '../world/clock.ts';

const noRows = {} as LogRows<unknown, string>;

test('a decision is taken right after its rows came into memory, whatever a read lets leave it', async () => {
  let isInMemory = false;
  let fetched = 0;
  const parts: Pick<Parts, 'turn' | 'makeRoom' | 'fetch'> & {
    bodies: { mark: number; dropQueuedAfter(): void };
  } = {
    bodies: { mark: 0, dropQueuedAfter: () => {} },
    turn: async () => {},
    makeRoom: async () => {},
    fetch: async () => {
      fetched += 1;
      if (fetched > 10) throw new Error('it would be fetched for ever');
      // What an index does between batches: rows that nothing was done with leave memory.
      void commits.read(() => {
        isInMemory = false;
      });
      return () => {
        isInMemory = true;
      };
    },
  };
  const state = { undo: new UndoLog() } as State;
  const commits = new Commits(state, parts as unknown as Parts, simulatedClock(0), () => {});
  const decided = commits.commit(() => {
    if (!isInMemory) throw new NotInMemory(noRows, [7]);
    return 'taken';
  });
  expect(await decided).toBe('taken');
  expect(fetched).toBe(1);
});
