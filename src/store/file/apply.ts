import { type Delivery, endUnsent, newDelivery, startRound } from '../../domain/delivery.ts';
import type { AttemptFact, AttemptRow, ErasedFact, EventRow, Fact, FactOf, Run, SealedRef } from './facts.ts';
import { applyFolded, applyHealth, type Fold } from './folded-facts.ts';
import { eventKey } from './kinds.ts';
import type { State } from './state.ts';

/**
 * Does to the state what a fact says, live and at recovery alike.
 *
 * @param isFoldedCovered the checkpoint already holds what this fact does to the folded
 *   part: only the log part takes it.
 * @throws NotInMemory, half done: whoever meets it takes the fact back through `undo`.
 * @throws StoreCorrupt `journal_newer`
 */
export function apply(state: State, fact: Fact, isFoldedCovered = false): void {
  const fold = isFoldedCovered ? leave : put;
  switch (fact.t) {
    case 'event':
      recordEvent(state, fact, fold);
      break;
    case 'owed':
      owe(state, fact, fold);
      break;
    case 'withheld':
      withhold(state, fact);
      break;
    case 'pushed':
      changeEvent(state, fact, (row) => ({ ...row, push: fact.push }));
      break;
    case 'bodyMoved':
      changeEvent(state, fact, (row) => (row.isErased ? row : { ...row, body: fact.body }));
      break;
    case 'bodyKept':
      changeEvent(state, fact, (row) => (row.isErased ? row : withOwnBody(row, fact.body)));
      break;
    case 'claimed':
      beginAttempts(state, fact);
      break;
    case 'unclaimed':
      for (const id of fact.of) endOpenAttempt(state, id);
      break;
    case 'attempt':
      recordAttempt(state, fact, fold);
      break;
    case 'excerptMoved':
      moveExcerpt(state, fact);
      break;
    case 'round':
      state.deliveries.need(fact.of);
      for (const id of fact.of) changeDelivery(state, id, (delivery) => startRound(delivery, fact.at));
      break;
    case 'ended':
      endDeliveries(state, fact);
      break;
    case 'erased':
      erase(state, fact, fold);
      break;
    case 'deliveriesGone':
      for (const number of numbersIn(fact.of)) state.deliveries.remove(number);
      break;
    case 'eventsGone':
      for (const number of numbersIn(fact.of)) state.events.remove(number);
      break;
    default:
      applyFolded(state, fact, fold);
      break;
  }
}

const put: Fold = (table, key, row) => table.put(key, row);
const leave: Fold = () => {};

function recordEvent(state: State, { row, at, to }: FactOf<'event'>, fold: Fold): void {
  const { events, deliveries } = state;
  const made = [deliveries.end, to.length] as const;
  const isSeenAgain = events.numbersOf(row.id).length > 0;
  events.put(eventKey(row.clinicId, row.id), { ...row, recordedAt: at, deliveries: made, isSeenAgain });
  const { id: eventId, clinicId, type: eventType } = row;
  for (const [subscriberId, sequence] of to) {
    const delivery = newDelivery({ eventId, subscriberId, clinicId, eventType, sequence }, at);
    deliveries.put(delivery.id, delivery);
    fold(state.sequences, subscriberId, sequence);
  }
}

function owe(state: State, { subscriber: subscriberId, at, of }: FactOf<'owed'>, fold: Fold): void {
  for (const [clinicId, eventId, eventType, sequence] of of) {
    const owed = { eventId, subscriberId, clinicId, eventType, sequence, isBackfilled: true } as const;
    const delivery = newDelivery(owed, at);
    state.deliveries.put(delivery.id, delivery);
    fold(state.sequences, subscriberId, sequence);
  }
}

function withhold(state: State, { clinic, of }: FactOf<'withheld'>): void {
  state.events.need(of.map((id) => eventKey(clinic, id)));
  for (const event of of) changeEvent(state, { clinic, event }, (row) => ({ ...row, withheld: 'imported' }));
}

/** It is sealed for this clinic's own record, whoever's it was before. */
function withOwnBody(before: EventRow, body: SealedRef | null): EventRow {
  const { bodyOf: _bodyOf, ...row } = before;
  return { ...row, body };
}

function beginAttempts(state: State, { of, at: startedAt }: FactOf<'claimed'>): void {
  state.deliveries.need(of.map(([deliveryId]) => deliveryId));
  for (const [deliveryId, number, revision, isProbe] of of) {
    const open = { deliveryId, number, revision, startedAt, isProbe: isProbe === 1 };
    state.openAttempts.put(deliveryId, open);
  }
}

function recordAttempt(state: State, fact: AttemptFact, fold: Fold): void {
  const { attempts, deliveries } = state;
  deliveries.need([fact.delivery]);
  const row: AttemptRow = {
    number: fact.n,
    round: fact.round,
    startedAt: fact.at,
    durationMs: fact.ms,
    outcome: fact.outcome,
    revision: fact.revision,
    isProbe: fact.probe === 1,
    isLate: fact.after === undefined,
    excerpt: fact.excerpt ?? null,
  };
  attempts.put(fact.delivery, [...(attempts.get(fact.delivery) ?? []), row]);
  deliveries.touch(fact.delivery);
  if (!fact.after) return;
  const { after } = fact;
  endOpenAttempt(state, fact.delivery);
  changeDelivery(state, fact.delivery, (delivery) => ({
    ...delivery,
    state: after.state,
    failures: after.failures,
    interruptedInRow: after.interruptedInRow,
    dueAt: after.dueAt,
    waitMs: after.waitMs,
    endedAt: after.endedAt,
    endReason: after.endReason ?? null,
    deliveredAt: after.deliveredAt ?? delivery.deliveredAt,
    probedAt: after.state === 'pending' ? (after.probedAt ?? delivery.probedAt) : null,
    attempts: fact.n,
    lastOutcome: fact.outcome,
  }));
  const subscriberId = deliveries.hot(fact.delivery)?.subscriberId;
  if (subscriberId !== undefined) applyHealth(state, subscriberId, fact, fold);
}

function endDeliveries(state: State, { of, reason, at }: FactOf<'ended'>): void {
  state.deliveries.need(of);
  for (const id of of) {
    changeDelivery(state, id, (delivery) => endUnsent(delivery, reason, at));
    // A skipped one in flight is left to its result.
    if (reason !== 'skipped') endOpenAttempt(state, id);
  }
}

function erase(state: State, { events, deliveries, files }: ErasedFact, fold: Fold): void {
  state.events.need(events.map(([clinic, event]) => eventKey(clinic, event)));
  state.deliveries.need(deliveries);
  for (const [clinic, event] of events) {
    changeEvent(state, { clinic, event }, (row) => ({ ...withOwnBody(row, null), isErased: true }));
  }
  for (const id of deliveries) changeExcerpts(state, id, () => null);
  for (const file of files) fold(state.bodyFiles, file, 'toRewrite');
}

function moveExcerpt(state: State, { delivery, from, excerpt }: FactOf<'excerptMoved'>): void {
  state.deliveries.need([delivery]);
  changeExcerpts(state, delivery, (before) =>
    before.file === from.file && before.at === from.at ? excerpt : before,
  );
}

/** Of the attempts whose answer is kept. */
function changeExcerpts(
  { attempts, deliveries }: State,
  deliveryId: string,
  changed: (excerpt: SealedRef) => SealedRef | null,
): void {
  const rows = attempts.get(deliveryId);
  if (!rows?.some(({ excerpt }) => excerpt !== null)) return;
  attempts.put(
    deliveryId,
    rows.map((row) => (row.excerpt === null ? row : { ...row, excerpt: changed(row.excerpt) })),
  );
  deliveries.touch(deliveryId);
}

function endOpenAttempt({ openAttempts }: State, deliveryId: string): void {
  if (openAttempts.has(deliveryId)) openAttempts.put(deliveryId, undefined);
}

function changeDelivery({ deliveries }: State, id: string, changed: (delivery: Delivery) => Delivery): void {
  const delivery = deliveries.get(id);
  if (delivery) deliveries.put(id, changed(delivery));
}

function changeEvent(
  { events }: State,
  { clinic, event }: { readonly clinic: string; readonly event: string },
  changed: (row: EventRow) => EventRow,
): void {
  const key = eventKey(clinic, event);
  const before = events.get(key);
  const after = before && changed(before);
  if (after && after !== before) events.put(key, after);
}

function* numbersIn(runs: readonly Run[]): Generator<number> {
  for (const [from, to] of runs) for (let number = from; number < to; number++) yield number;
}
