import type { Attempt, Outcome } from '../../src/domain/attempt.ts';
import { judge } from '../../src/domain/attempt.ts';
import { type Delivery, deliveryIdOf } from '../../src/domain/delivery.ts';
import type { Subscriber } from '../../src/domain/subscriber.ts';
import type { Fullscript } from '../../src/sandbox/fullscript.ts';
import type { Departed } from './departed.ts';
import type { Dump } from './dump.ts';
import type { History } from './history.ts';
import type { Network } from './network.ts';
import { categories } from './relay.ts';
import { type KnownSubscriber, keyOf, type Span, type Witness } from './witness.ts';

export interface Evidence {
  readonly history: History;
  readonly witness: Witness;
  readonly network: Network;
  readonly fullscript: Fullscript;
  readonly hasHiddenIds: boolean;
  readonly departed: Departed;
}

/** What a process finds at its start has to hold everything that the ones before it were told. */
export function checkReopened(dump: Dump, { history, witness, departed }: Evidence): void {
  const lose = (what: string) => history.violate('I4 what is told is durable', what);
  const events = new Set(dump.events.map(({ clinicId, id }) => keyOf(clinicId, id)));
  for (const [key, span] of witness.events) {
    if (span.toldAt === null || events.has(key) || departed.mayBeEvent(key)) continue;
    lose(`event ${key} was recorded`);
  }
  for (const key of events) {
    const span = witness.events.get(key);
    if (span) {
      span.toldAt ??= history.tick();
      if (!witness.recordedAt.has(key)) witness.recordedAt.set(key, history.now());
    } else history.violate('I6 nothing is guessed', `event ${key} appeared from nowhere`);
  }
  checkSubscribersReopened(dump, witness, history, lose);
  const states = new Map(dump.deliveries.map(({ id, state }) => [id, state]));
  const isGone = (id: string) => !states.has(id) && departed.mayBeDelivery(id);
  for (const [key, outcome] of witness.attempts) {
    const [deliveryId = '', number] = key.split('#');
    if (isGone(deliveryId)) continue;
    const rows = (dump.attempts.get(deliveryId) ?? []).filter((row) => row.number === Number(number));
    if (rows.length === 0) lose(`attempt ${key} was ${outcome}`);
    else if (outcome !== 'claimed' && !rows.some((row) => row.outcome.kind === outcome)) {
      lose(`attempt ${key} was ${outcome} and is ${rows.map((row) => row.outcome.kind)}`);
    }
  }
  for (const id of witness.delivered) {
    if (!isGone(id) && states.get(id) !== 'delivered') lose(`${id} was delivered and is ${states.get(id)}`);
  }
  for (const delivery of dump.deliveries) witness.found(delivery);
  for (const { clinicId, eventId, isFinal } of dump.setAsides) {
    if (isFinal && eventId !== null) witness.setAsides.add(keyOf(clinicId, eventId));
  }
  for (const stream of dump.streams) {
    const told = witness.cursors.get(keyOf(stream.clinicId, stream.category));
    if (told !== undefined && (stream.cursor ?? 0) < told) lose(`the cursor of ${stream.category} ran back`);
  }
  for (const { id, tokens } of dump.connections) {
    const known = witness.tokens.get(id);
    if (!known || tokens === null) continue;
    if (known.told === tokens.accessToken) known.asked = [];
    else if (known.asked.includes(tokens.accessToken)) {
      known.told = tokens.accessToken;
      known.asked = [];
    } else lose(`the tokens of ${id}`);
  }
}

function checkSubscribersReopened(
  dump: Dump,
  witness: Witness,
  history: History,
  lose: (what: string) => void,
): void {
  const found = new Map(dump.subscribers.map((subscriber) => [subscriber.id, subscriber]));
  for (const [id, known] of witness.subscribers) {
    const now = found.get(id);
    if (!now && known.added.toldAt !== null) lose(`subscriber ${id} was added`);
    if (!now) {
      witness.subscribers.delete(id);
      continue;
    }
    known.added.toldAt ??= history.tick();
    if (known.deleted === null) continue;
    if (now.deletedAt !== null) known.deleted.toldAt ??= history.tick();
    else if (known.deleted.toldAt !== null) lose(`subscriber ${id} was deleted`);
    else known.deleted = null;
  }
}

/** Everything that lists showed when the poll of this cursor began is recorded, or set aside. */
export function checkCursor(
  stream: { clinicId: string; category: string; cursor: number },
  { history, witness, fullscript, hasHiddenIds }: Evidence,
): void {
  if (hasHiddenIds) return;
  for (const event of fullscript.ledger(stream.clinicId)) {
    if (event.category !== stream.category || event.listableAt > stream.cursor) continue;
    const key = keyOf(stream.clinicId, event.id);
    if (witness.setAsides.has(key)) continue;
    if (witness.events.get(key)?.toldAt == null) {
      history.violate('the cursor stays behind what is recorded', `${key} is behind it and not recorded`);
    }
  }
}

/** What is on record of an attempt is what its request came to. */
export function checkFate(
  key: string,
  outcome: Outcome,
  { history, network }: Pick<Evidence, 'history' | 'network'>,
): void {
  if (outcome.kind === 'interrupted') return;
  const fate = network.fates.get(key) ?? 'never sent';
  const told = 'status' in outcome ? `answered ${outcome.status}` : outcome.kind;
  if (fate !== told) history.violate('the log tells the truth', `${key}: ${told}, it was ${fate}`);
}

/** Holds at any moment, and so at the end. */
export function checkLog(dump: Dump, evidence: Evidence): void {
  const { history, network, departed } = evidence;
  const subscribers = new Map(dump.subscribers.map((subscriber) => [subscriber.id, subscriber]));
  const sequences = new Map<string, number[]>();
  const owed = new Set<string>();
  for (const delivery of dump.deliveries) {
    const subscriber = subscribers.get(delivery.subscriberId);
    const pair = `${delivery.eventId} for ${delivery.subscriberId}`;
    if (owed.has(pair)) history.violate('enqueued once', `${pair} has two deliveries`);
    owed.add(pair);
    sequences.set(delivery.subscriberId, [
      ...(sequences.get(delivery.subscriberId) ?? []),
      delivery.sequence,
    ]);
    if (!subscriber) history.violate('I6 nothing is guessed', `${delivery.id} has no subscriber`);
    else checkAttempts(delivery, dump.attempts.get(delivery.id) ?? [], subscriber, evidence);
  }
  for (const [subscriberId, numbers] of sequences) {
    numbers.sort((a, b) => a - b);
    if (departed.isPossible) continue;
    const gap = numbers.findIndex((number, index) => number !== index + 1);
    if (gap !== -1)
      history.violate('the sequence has no gap', `${subscriberId}: ${numbers[gap]} at ${gap + 1}`);
    const { sequence } = subscribers.get(subscriberId) ?? {};
    if (sequence !== numbers.length) {
      history.violate('the sequence has no gap', `${subscriberId} counts ${sequence} of ${numbers.length}`);
    }
  }
  checkReceipts(dump, evidence);
  checkOrder(dump, history, network);
  checkOwed(dump, owed, evidence);
}

function checkAttempts(
  delivery: Delivery,
  rows: readonly Attempt[],
  subscriber: Subscriber,
  evidence: Evidence,
): void {
  const { history } = evidence;
  // What a deletion cut off is on record as late, and counts no more.
  const counted = delivery.state === 'cancelled' ? rows.filter(({ isLate }) => !isLate) : rows;
  const numbers = [...new Set(counted.map(({ number }) => number))].sort((a, b) => a - b);
  if (numbers.length !== delivery.attempts || numbers.some((number, index) => number !== index + 1)) {
    history.violate(
      'the log tells the truth',
      `${delivery.id} has ${delivery.attempts} attempts: ${numbers}`,
    );
  }
  for (const { number, outcome } of rows) checkFate(`${delivery.id}#${number}`, outcome, evidence);
  const steps = subscriber.retrySeconds?.length ?? 0;
  for (let round = 1; round <= delivery.round; round++) {
    const failures = rows.filter(
      (row) => row.round === round && !row.isLate && !row.isProbe && judge(row.outcome) === 'retry',
    );
    if (failures.length > steps + 1) {
      history.violate(
        'attempts follow the schedule',
        `${delivery.id} failed ${failures.length} times in a round`,
      );
    }
  }
}

function checkReceipts(dump: Dump, { history, network, departed }: Evidence): void {
  const deliveries = new Map(dump.deliveries.map((delivery) => [delivery.id, delivery]));
  const isUnknown = ({ outcome, isLate }: Attempt) =>
    isLate || outcome.kind === 'interrupted' || outcome.kind === 'timedOut' || outcome.kind === 'unreachable';
  for (const [subscriberId, { receipts }] of network.endpoints) {
    const accepted = new Map<string, number>();
    for (const { deliveryId, sequence, eventId, isAccepted } of receipts) {
      const delivery = deliveries.get(deliveryId);
      if (!delivery && departed.mayBeDelivery(deliveryId)) continue;
      if (delivery?.subscriberId !== subscriberId || delivery.eventId !== eventId) {
        history.violate('I4 what is told is durable', `${subscriberId} was sent ${deliveryId}: unknown`);
      } else if (delivery.sequence !== sequence) {
        history.violate('I3 ids and bytes are stable', `${deliveryId} was sent as number ${sequence}`);
      }
      if (isAccepted) accepted.set(deliveryId, (accepted.get(deliveryId) ?? 0) + 1);
    }
    for (const [deliveryId, times] of accepted) {
      const unknown = (dump.attempts.get(deliveryId) ?? []).filter(isUnknown).length;
      const rounds = deliveries.get(deliveryId)?.round ?? 1;
      if (times > rounds + unknown) {
        history.violate('I2 repeats are bounded', `${deliveryId} was accepted ${times} times`);
      }
    }
  }
}

/** Of a clinic nothing is sent before what came earlier has ended; only replays pass by. */
function checkOrder(dump: Dump, history: History, network: Network): void {
  const clinicOf = new Map(dump.deliveries.map(({ id, clinicId }) => [id, clinicId]));
  for (const [subscriberId, { receipts, order }] of network.endpoints) {
    if (order !== 'perClinic') continue;
    const reached = new Map<string, number>();
    for (const { deliveryId, sequence, isReplay } of receipts) {
      const clinicId = clinicOf.get(deliveryId);
      if (isReplay || clinicId === undefined) continue;
      const last = reached.get(clinicId) ?? 0;
      if (sequence < last) {
        history.violate('a promised order is kept', `${subscriberId} got number ${sequence} after ${last}`);
      }
      reached.set(clinicId, Math.max(last, sequence));
    }
  }
}

/** Whom an event is owed to follows from the order of registrations and recordings. */
function checkOwed(dump: Dump, owed: ReadonlySet<string>, { history, witness, departed }: Evidence): void {
  const recorded = new Map<string, { span: Span; type: string; clinicId: string }[]>();
  for (const { id, clinicId, type, isPast } of dump.events) {
    const span = witness.events.get(keyOf(clinicId, id));
    if (!span || isPast) continue;
    recorded.set(id, [...(recorded.get(id) ?? []), { span, type, clinicId }]);
  }
  for (const known of witness.subscribers.values()) {
    for (const [eventId, places] of recorded) {
      const wanted = places.filter((place) => wants(known, place));
      const isOwed = owed.has(`${eventId} for ${known.subscriber.id}`);
      const what = `${eventId} for ${known.subscriber.id}`;
      const isGone = departed.mayBeDelivery(deliveryIdOf(eventId, known.subscriber.id));
      if (!isOwed && !isGone && wanted.some(({ span }) => wasThere(known, span))) {
        history.violate('I1 nothing is lost', `${what} was never enqueued`);
      }
      if (isOwed && !wanted.some(({ span }) => mayHaveBeenThere(known, span))) {
        history.violate('I6 nothing is guessed', `${what} was enqueued and is not owed`);
      }
    }
  }
}

function wants({ subscriber }: KnownSubscriber, place: { type: string; clinicId: string }): boolean {
  const isWantedType = subscriber.eventTypes.length === 0 || place.type.startsWith('order.');
  return isWantedType && (subscriber.clinicIds.length === 0 || subscriber.clinicIds.includes(place.clinicId));
}

function wasThere({ added, deleted }: KnownSubscriber, event: Span): boolean {
  return (
    added.toldAt !== null &&
    added.toldAt < event.askedAt &&
    (deleted === null || (event.toldAt !== null && deleted.askedAt > event.toldAt))
  );
}

function mayHaveBeenThere({ added, deleted }: KnownSubscriber, event: Span): boolean {
  return (
    (event.toldAt === null || added.askedAt < event.toldAt) &&
    (deleted?.toldAt == null || deleted.toldAt > event.askedAt)
  );
}

/** After everything was healed, replayed and came to rest, everything that is owed has arrived. */
export function checkSettled(dump: Dump, evidence: Evidence): void {
  const { history, network, fullscript, departed } = evidence;
  checkLog(dump, evidence);
  const events = new Map(dump.events.map((event) => [keyOf(event.clinicId, event.id), event]));
  const aside = new Set(
    dump.setAsides.flatMap(({ clinicId, eventId }) => (eventId === null ? [] : [keyOf(clinicId, eventId)])),
  );
  const startOf = new Map(
    dump.streams.map((stream) => [keyOf(stream.clinicId, stream.category), stream.startAt]),
  );
  for (const event of fullscript.ledger()) {
    if (!categories.some((category) => category === event.category)) continue;
    const key = keyOf(event.clinicId, event.id);
    const startAt = startOf.get(keyOf(event.clinicId, event.category)) ?? Number.POSITIVE_INFINITY;
    const found = events.get(key);
    if (!found && !aside.has(key) && !departed.mayBeEvent(key))
      history.violate('I1 nothing is lost', `event ${key} was never recorded`);
    if (found?.isPast && event.createdAt >= startAt)
      history.violate('I1 nothing is lost', `event ${key} was taken for past`);
  }
  const living = new Map(
    dump.subscribers.filter(({ deletedAt }) => deletedAt === null).map((each) => [each.id, each]),
  );
  for (const { id, state, subscriberId, endReason } of dump.deliveries) {
    const isLiving = living.has(subscriberId);
    const isRight = isLiving ? state === 'delivered' : state !== 'pending';
    if (!isRight) history.violate('I1 nothing is lost', `${id} is ${state} (${endReason}) in the end`);
    const receipts = network.endpoints.get(subscriberId)?.receipts ?? [];
    if (
      state === 'delivered' &&
      !receipts.some((receipt) => receipt.deliveryId === id && receipt.isAccepted)
    ) {
      history.violate('the log tells the truth', `${id} is delivered and its subscriber has not accepted it`);
    }
  }
}
