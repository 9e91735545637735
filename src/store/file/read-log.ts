import { StoreCorrupt } from '../../domain/errors.ts';
import { apply } from './apply.ts';
import type { FoundCheckpoint } from './checkpoint.ts';
import type { Disk } from './disk.ts';
import type { Fact } from './facts.ts';
import type { Indexer } from './indexer.ts';
import type { KeyRing } from './keys.ts';
import { NotInMemory } from './log-rows.ts';
import { type Recovered, recover } from './recovery.ts';
import type { State } from './state.ts';

/** More than this is indexed while it is read, so that the longest journal fits into memory. */
const indexedWhileReadParts = 4;

/**
 * Brings into memory what the indexes and the journal say beyond the checkpoint, which is
 * in it already where somebody vouches for it.
 *
 * @param into.now epoch milliseconds.
 * @throws StoreCorrupt
 */
export async function readLog(
  from: { readonly disk: Disk; readonly folder: string; readonly keys: KeyRing },
  checkpoint: FoundCheckpoint | null,
  into: {
    readonly state: State;
    readonly indexer: Indexer;
    readonly partBytes: number;
    readonly now: number;
  },
): Promise<Recovered> {
  const { state, indexer, partBytes, now } = into;
  const reached = checkpoint?.sequence ?? 0;
  const covered = checkpoint?.isVouched ? reached : 0;
  const before = checkpoint && (await indexer.load(checkpoint.storeId, covered));
  const applyAll = (facts: readonly Fact[], sequence: number): Promise<void> | undefined => {
    try {
      for (const fact of facts) apply(state, fact, sequence <= covered);
      state.undo.forget();
      return undefined;
    } catch (error) {
      if (!(error instanceof NotInMemory)) throw error;
      state.undo.rollBackTo(0);
      return indexer.fetch(error).then((admit) => {
        admit();
        return applyAll(facts, sequence);
      });
    }
  };
  const recovered = await recover(
    from,
    { before, atLeast: reached },
    applyAll,
    async (part, place, isClosed) => {
      indexer.closed(part);
      if (!isClosed || !checkpoint || place.sequence > reached) return;
      if (indexer.waitingBytes < indexedWhileReadParts * partBytes) return;
      await indexer.write(indexer.take(place), checkpoint.storeId, async (work) => work());
    },
  );
  if (checkpoint && checkpoint.storeId !== recovered.storeId) {
    throw new StoreCorrupt(
      'checkpoint_corrupt',
      'The checkpoint belongs to another store than the journal.',
      {
        hint: 'Restore the whole data folder from one backup.',
      },
    );
  }
  clampToNow(state, now);
  return recovered;
}

/**
 * What a stepped clock left far ahead: a due time or a probe is no further away than the
 * wait it came from, and requests taken from the budget in the future count from now.
 */
function clampToNow(state: State, now: number): void {
  for (const delivery of [...state.deliveries.values()]) {
    const dueAt = delivery.dueAt && Math.min(delivery.dueAt, now + delivery.waitMs);
    const probedAt = delivery.probedAt && Math.min(delivery.probedAt, now);
    if (dueAt !== delivery.dueAt || probedAt !== delivery.probedAt) {
      state.deliveries.put(delivery.id, { ...delivery, dueAt, probedAt });
    }
  }
  for (const [id, health] of [...state.healths.entries()]) {
    const latest = now + health.probeWaitMs;
    if (health.nextProbeAt !== null && health.nextProbeAt > latest) {
      state.healths.put(id, { ...health, nextProbeAt: latest });
    }
  }
  for (const [key, block] of [...state.budget.entries()]) {
    const aheadMs = block.at - now;
    if (aheadMs > 0) {
      state.budget.put(key, { ...block, at: now, countsUntil: block.countsUntil - aheadMs });
    }
  }
  state.undo.forget();
}
