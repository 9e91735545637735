import type { Clock } from '../clock.ts';
import { ClaimLost, StoreBroken, StoreUnavailable } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { ClinicStore, PollClaim, PollStore, SubscriberStore } from '../store/store.ts';
import { type AskedPollEnd, brokenOff, endOf } from './asked-polls.ts';
import type { ClinicAccess } from './clinic-access.ts';
import { poll } from './poll.ts';
import type { Schedule } from './schedule.ts';

export interface ClaimedPollDependencies {
  readonly store: ClinicStore & PollStore & Pick<SubscriberStore, 'subscribers'>;
  readonly access: ClinicAccess;
  readonly schedule: Schedule;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly overlapDays: number;
  readonly sweepHours: number;
  /** Nobody is owed what is recorded. */
  readonly isShadow: boolean;
  /** Deliveries were recorded. */
  readonly onRecorded: () => void;
}

/**
 * Polls a claimed stream as its schedule says. One item that nobody thought of must not stop
 * the other clinics: a fault is told and recorded as the end of this poll.
 *
 * @throws StoreBroken
 */
export async function pollClaimed(
  claim: PollClaim,
  dependencies: ClaimedPollDependencies,
  how: { readonly isSweepWanted: boolean; readonly signal: AbortSignal },
): Promise<AskedPollEnd> {
  const { access, schedule, clock } = dependencies;
  try {
    const stream = await poll(claim, {
      ...dependencies,
      ...how,
      list: access.list,
      retrieve: access.retrieve,
      learn: (stream, seen) => schedule.learn(stream, seen),
      nextPollAt: (stream) => schedule.nextPollAt(stream, clock.now()),
      retryAt: (stream) => schedule.retryAt(stream, clock.now()),
    });
    return endOf(stream);
  } catch (error) {
    // Requests that were told to stop end here, too.
    if (!how.signal.aborted && !(error instanceof StoreUnavailable)) {
      await recordBroken(claim, error, dependencies);
    }
    return brokenOff;
  }
}

/** @throws StoreBroken */
async function recordBroken(
  claim: PollClaim,
  error: unknown,
  { store, schedule, clock, logger }: ClaimedPollDependencies,
): Promise<void> {
  const { clinicId, category } = claim.stream;
  if (error instanceof ClaimLost) {
    logger.warn('A poll was taken over; what it read is read again.', { clinicId, category });
    return;
  }
  if (error instanceof StoreBroken) throw error;
  const fault = error instanceof Error ? error.name : 'unknown error';
  logger.error('A poll met a fault of the relay; please report it.', { clinicId, category, fault });
  const nextPollAt = schedule.retryAt(claim.stream, clock.now());
  const end = { kind: 'failed', problem: `a fault of the relay: ${fault}`, nextPollAt } as const;
  await store.endPoll(claim, end).catch((cause: unknown) => {
    if (cause instanceof StoreBroken) throw cause;
  });
}
