import { closedBreaker, probedSoon } from '../../domain/breaker.ts';
import { endUnsent } from '../../domain/delivery.ts';
import { Conflict, NotFound } from '../../domain/errors.ts';
import { type PauseReason, type Subscriber, stateOfSubscriber } from '../../domain/subscriber.ts';
import type { SubscriberChange, SubscriberStore } from '../store.ts';
import type { Decision } from './commits.ts';
import type { Core } from './core.ts';
import { idsPerLine } from './facts.ts';
import type { State } from './state.ts';
import { ensureTokenKey } from './token-keys.ts';

/** Changes that the next attempt would notice: results of earlier ones say nothing about the new endpoint. */
const revising = ['url', 'profile', 'secrets', 'challengeToken', 'headers'] as const;

export function subscriberPart(core: Core): SubscriberStore {
  const { commits, codec, clock } = core;
  const living = (state: State, id: string): Subscriber => {
    const row = state.subscribers.get(id);
    if (!row || row.deletedAt !== null) throw new NotFound('subscriber', id);
    return codec.subscriber(state, row);
  };

  const save = (decision: Decision, changed: Subscriber, bumped: boolean): Subscriber => {
    const { state, record } = decision;
    if (changed.jwt) ensureTokenKey(decision, core);
    const { id, health, pauseReasons } = changed;
    const pausedAt = pauseReasons.length === 0 ? null : (changed.pausedAt ?? clock.now());
    const subscriber = { ...changed, pausedAt };
    const isNewHealth = state.subscribers.has(id) && health !== state.healthOf(id);
    record({ t: 'subscriber', row: codec.subscriberRow(subscriber), bumped, ...(isNewHealth && { health }) });
    return subscriber;
  };

  const assertNameFree = (state: State, subscriber: Pick<Subscriber, 'id' | 'name' | 'owner'>): void => {
    for (const other of state.subscribers.values()) {
      if (other.deletedAt !== null || other.id === subscriber.id) continue;
      if (other.name === subscriber.name && other.owner === subscriber.owner) {
        throw new Conflict(
          'subscriber_name_taken',
          `There is a subscriber named ${subscriber.name} already.`,
          {
            hint: 'Choose another name, or update the one there is.',
          },
        );
      }
    }
  };

  const change = (subscriberId: string, changed: (before: Subscriber) => Subscriber) =>
    commits.commit((decision) => {
      const before = living(decision.state, subscriberId);
      const after = changed(before);
      return after === before ? before : save(decision, after, false);
    });

  return {
    subscribers: () =>
      commits.read((state) => ({
        version: state.subscribersVersion,
        subscribers: [...state.subscribers.values()].map((row) => codec.subscriber(state, row)),
      })),

    addSubscriber: (subscriber, backfill) =>
      commits.commit((decision) => {
        const { state } = decision;
        if (state.subscribers.get(subscriber.id)?.deletedAt === null) {
          throw new Conflict('subscriber_exists', `There is a subscriber ${subscriber.id} already.`, {
            hint: 'Update the one there is.',
          });
        }
        assertNameFree(state, subscriber);
        if (backfill) decision.record({ t: 'job', row: backfill });
        return save(decision, subscriber, true);
      }),

    changeSubscriber: (subscriberId, change) =>
      commits.commit((decision) => {
        const before = living(decision.state, subscriberId);
        const after = applied(before, typeof change === 'function' ? change(before) : change, clock.now());
        assertNameFree(decision.state, after);
        return save(decision, after, true);
      }),

    deleteSubscriber: (subscriberId) =>
      commits.commit((decision) => {
        const before = living(decision.state, subscriberId);
        const now = clock.now();
        const after = { ...before, deletedAt: now };
        save(decision, after, true);
        endOpen(decision, subscriberId, 'subscriberDeleted', now);
        return after;
      }),

    pauseSubscriber: (subscriberId, reason) =>
      change(subscriberId, (before) =>
        before.pauseReasons.includes(reason)
          ? before
          : { ...before, pauseReasons: [...before.pauseReasons, reason] },
      ),

    resumeSubscriber: (subscriberId, { lift, backlog, shookRevision, closeBreaker }) =>
      commits.commit((decision) => {
        const before = living(decision.state, subscriberId);
        const isOutdated = shookRevision !== undefined && shookRevision !== before.revision;
        const pauseReasons = before.pauseReasons.filter(
          (reason: PauseReason) => !lift.includes(reason) || (reason === 'handshake' && isOutdated),
        );
        const isClosing = closeBreaker === true && before.health.isFailing;
        const after = { ...before, pauseReasons, ...(isClosing && { health: closedBreaker(before.health) }) };
        const isChanged = isClosing || pauseReasons.length !== before.pauseReasons.length;
        const saved = isChanged ? save(decision, after, false) : before;
        const isBack = stateOfSubscriber(before) !== 'active' && stateOfSubscriber(saved) === 'active';
        if (backlog === 'skip' && isBack) endOpen(decision, subscriberId, 'skipped', clock.now());
        return saved;
      }),
  };

  /** In flight ones are left to their result when skipped, and ended with their claim when deleted. */
  function endOpen(
    { state, record }: Decision,
    subscriberId: string,
    reason: 'skipped' | 'subscriberDeleted',
    now: number,
  ): void {
    const ids: string[] = [];
    for (const delivery of state.deliveries.values()) {
      if (delivery.subscriberId === subscriberId && endUnsent(delivery, reason, now) !== delivery)
        ids.push(delivery.id);
    }
    for (let from = 0; from < ids.length; from += idsPerLine) {
      record({ t: 'ended', at: now, reason, of: ids.slice(from, from + idsPerLine) });
    }
  }
}

function applied(before: Subscriber, change: SubscriberChange, now: number): Subscriber {
  const after = { ...before, ...change };
  const isRevised = revising.some((field) => JSON.stringify(after[field]) !== JSON.stringify(before[field]));
  if (!isRevised) return after;
  return { ...after, health: probedSoon(before.health, now), revision: before.revision + 1 };
}
