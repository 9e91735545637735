import { paceOf } from '../../domain/breaker.ts';
import { type Delivery, queuedAt } from '../../domain/delivery.ts';
import { ClaimLost, StoreCorrupt, StoreUnavailable } from '../../domain/errors.ts';
import { type Subscriber, stateOfSubscriber } from '../../domain/subscriber.ts';
import type { DeliveryClaim, DeliveryStore } from '../store.ts';
import { attemptFact, attemptResults } from './attempt-results.ts';
import { bodyUnreadable } from './bodies.ts';
import type { Decision } from './commits.ts';
import type { Core } from './core.ts';
import type { EventRow, OpenAttempt } from './facts.ts';
import { eventKey } from './kinds.ts';
import { Leases } from './leases.ts';
import { recordedEvent } from './log.ts';
import type { RowOrPlace } from './log-rows.ts';
import { Rates } from './rates.ts';
import { roundPart } from './rounds.ts';
import type { State } from './state.ts';

interface Claimed {
  readonly open: OpenAttempt;
  readonly delivery: Delivery;
  readonly event: RowOrPlace<EventRow>;
  readonly subscriber: Subscriber;
}

/** Beside the contract: `interruptLapsed`, with which a start ends what the process before it left under way. */
export function deliveryPart(core: Core): DeliveryStore & { interruptLapsed(): Promise<void> } {
  const { commits, bodies, coldRows, codec, clock } = core;
  const leases = new Leases(clock);
  const rates = new Rates(clock);
  const { subscriberOf, recordResult, interrupt } = attemptResults(core);

  /** An entry of the due queue that still says what is so. */
  const isOpenIn = (state: State) => (entry: { id: string; dueAt: number }) => {
    // One that is not in memory has ended.
    const delivery = state.deliveries.hot(entry.id);
    return (
      delivery !== undefined &&
      queuedAt(delivery) === entry.dueAt &&
      delivery.state === 'pending' &&
      !state.openAttempts.has(entry.id) &&
      state.due.waitsBehind(delivery) === null
    );
  };

  const interruptLapsed = (decision: Decision): void => {
    for (const open of [...decision.state.openAttempts.values()]) {
      if (!leases.isTaken(open.deliveryId)) interrupt(decision, open);
    }
  };

  const claimDue = (
    decision: Decision,
    slotsBySubscriber: ReadonlyMap<string, number>,
    leaseMs: number,
  ): Claimed[] => {
    const { state } = decision;
    const now = clock.now();
    const isOpen = isOpenIn(state);
    const claimed: Claimed[] = [];
    for (const [subscriberId, slots] of slotsBySubscriber) {
      const row = state.subscribers.get(subscriberId);
      if (!row) continue;
      const health = state.healthOf(subscriberId);
      const shown = stateOfSubscriber({ ...row, health });
      const isProbe = shown === 'failing';
      if (shown !== 'active' && !isProbe) continue;
      if (isProbe && (now < (health.nextProbeAt ?? 0) || isProbing(state, subscriberId))) continue;
      const subscriber = codec.subscriber(state, row);
      const requestsPerSecond = paceOf(health, subscriber.requestsPerSecond);
      const freeByRate = requestsPerSecond === null ? slots : rates.free(subscriberId, requestsPerSecond);
      if (freeByRate === 0) continue;
      const taken = isProbe
        ? [state.due.takeOldest(subscriberId, now, isOpen)].filter((id) => id !== null)
        : state.due.take(subscriberId, Math.min(slots, freeByRate), now, isOpen);
      for (const deliveryId of taken) {
        const delivery = state.deliveries.get(deliveryId);
        const at = delivery && state.events.numberOf(eventKey(delivery.clinicId, delivery.eventId));
        if (!delivery || at === undefined || at === null) continue;
        const event = state.events.at(at);
        const number = delivery.attempts + 1;
        const open = { deliveryId, number, revision: row.revision, startedAt: now, isProbe };
        claimed.push({ open, delivery, event, subscriber });
        // Within the decision, so that a claim queued behind this one does not take it for lapsed.
        leases.give(deliveryId, claimIdOf(open), leaseMs);
        if (requestsPerSecond !== null) rates.take(subscriberId, requestsPerSecond, 1);
      }
    }
    if (claimed.length > 0) {
      const of = claimed.map(({ open: { deliveryId, number, revision, isProbe } }) =>
        isProbe ? ([deliveryId, number, revision, 1] as const) : ([deliveryId, number, revision] as const),
      );
      decision.record({ t: 'claimed', at: now, of });
    }
    return claimed;
  };

  /** @throws StoreCorrupt, StoreUnavailable when the body cannot be read. */
  const withBody = async ({ open, delivery, subscriber }: Claimed, row: EventRow): Promise<DeliveryClaim> => {
    const { body: ref, bodyOf } = row;
    const record = eventKey(bodyOf ?? row.clinicId, row.id);
    if (!ref) throw bodyUnreadable(record, null);
    const body = (await bodies.open(ref, { kind: 'body', record })).toString();
    const { number: attempt, startedAt } = open;
    return {
      claimId: claimIdOf(open),
      delivery,
      attempt,
      startedAt,
      event: { ...recordedEvent(row), body },
      subscriber,
    };
  };

  /**
   * Ends claims that nobody will get: a delivery whose body is lost ends visibly, and one
   * whose body cannot be read at the moment is given back as if it had not been claimed.
   */
  const takeBack = async (lost: readonly OpenAttempt[], unread: readonly OpenAttempt[]): Promise<void> => {
    await commits.commit(({ state, record }) => {
      const at = clock.now();
      const idsOf = (claims: readonly OpenAttempt[]) =>
        claims
          .filter((open) => state.openAttempts.get(open.deliveryId)?.number === open.number)
          .map(({ deliveryId }) => deliveryId);
      const ended = idsOf(lost);
      const given = idsOf(unread);
      if (ended.length > 0) record({ t: 'ended', at, reason: 'bodyLost', of: ended });
      if (given.length > 0) record({ t: 'unclaimed', at, of: given });
    });
    for (const open of [...lost, ...unread]) leases.end(open.deliveryId, claimIdOf(open));
  };

  return {
    ...roundPart(core),

    interruptLapsed: () => commits.commit(interruptLapsed),

    claimDeliveries: async ({ slotsBySubscriber, leaseMs }) => {
      const claimed = await commits.commit((decision) => {
        interruptLapsed(decision);
        return claimDue(decision, slotsBySubscriber, leaseMs);
      });
      // Nobody could begin before the claims were durable, and a sync may take longer than a lease.
      for (const { open } of claimed) leases.extend(open.deliveryId, claimIdOf(open), leaseMs);
      const claims: DeliveryClaim[] = [];
      const lost: OpenAttempt[] = [];
      const unread: OpenAttempt[] = [];
      let refusal: unknown = null;
      const rows = await coldRows.rows(claimed.map(({ event }) => event)).catch(async (error: unknown) => {
        await takeBack(
          [],
          claimed.map(({ open }) => open),
        );
        throw error;
      });
      const reads = claimed.map((each, index) => withBody(each, rows[index] as EventRow));
      for (const [index, read] of (await Promise.allSettled(reads)).entries()) {
        const { open } = claimed[index] as Claimed;
        if (read.status === 'fulfilled') claims.push(read.value);
        else if (read.reason instanceof StoreCorrupt) lost.push(open);
        else {
          unread.push(open);
          refusal = read.reason;
        }
      }
      if (lost.length + unread.length > 0) {
        await takeBack(lost, unread).catch((error: unknown) => {
          // What was not taken back lapses; what can be sent is not lost with it.
          if (claims.length === 0 || !(error instanceof StoreUnavailable)) throw error;
        });
      }
      if (claims.length === 0 && refusal !== null) throw refusal;
      return claims;
    },

    renew: (claims, leaseMs) =>
      commits.read(({ openAttempts }) =>
        // A deletion ends the attempt and knows of no lease.
        claims.filter(
          ({ delivery: { id }, claimId, attempt }) =>
            openAttempts.get(id)?.number === attempt && leases.extend(id, claimId, leaseMs),
        ),
      ),

    recordAttempt: async (claim, result) => {
      const after = await commits.commit((decision) => {
        const { state } = decision;
        const before = state.deliveries.get(claim.delivery.id);
        const open = state.openAttempts.get(claim.delivery.id);
        if (!before) return null;
        if (open?.number !== claim.attempt) {
          const { delivery, attempt: number, startedAt, subscriber } = claim;
          const late = {
            deliveryId: delivery.id,
            number,
            startedAt,
            revision: subscriber.revision,
            isProbe: false,
          };
          decision.record(attemptFact(decision, late, delivery, result));
          return null;
        }
        const turn = recordResult(decision, open, result);
        const delivery = state.deliveries.get(before.id) ?? before;
        return { delivery, subscriber: subscriberOf(state, delivery) ?? claim.subscriber, ...turn };
      });
      leases.end(claim.delivery.id, claim.claimId);
      if (!after) throw new ClaimLost(`attempt ${claim.attempt} of delivery ${claim.delivery.id}`);
      return after;
    },

    nextDueAt: (except) =>
      commits.read((state) => {
        const isOpen = isOpenIn(state);
        let soonest: number | null = null;
        for (const row of state.subscribers.values()) {
          if (except?.has(row.id)) continue;
          const health = state.healthOf(row.id);
          const shown = stateOfSubscriber({ ...row, health });
          if (shown !== 'active' && shown !== 'failing') continue;
          const dueAt = state.due.nextDueAt(row.id, isOpen);
          if (dueAt === null) continue;
          const probeAt = shown === 'failing' ? (health.nextProbeAt ?? 0) : 0;
          const perSecond = paceOf(health, codec.subscriber(state, row).requestsPerSecond);
          const freeAt = perSecond === null ? 0 : rates.freeAt(row.id, perSecond);
          const soonestHere = Math.max(dueAt, probeAt, freeAt);
          if (soonest === null || soonestHere < soonest) soonest = soonestHere;
        }
        return soonest;
      }),
  };
}

/** One probe at a time. */
function isProbing(state: State, subscriberId: string): boolean {
  for (const { deliveryId, isProbe } of state.openAttempts.values()) {
    if (isProbe && state.deliveries.get(deliveryId)?.subscriberId === subscriberId) return true;
  }
  return false;
}

function claimIdOf(open: OpenAttempt): string {
  return `${open.deliveryId}#${open.number}`;
}
