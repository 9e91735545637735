import { type Outcome, outcomeLabel } from '../domain/attempt.ts';
import { paceOf } from '../domain/breaker.ts';
import type { SetAside, Stream } from '../domain/clinic.ts';
import { type Delivery, shownState } from '../domain/delivery.ts';
import type { RecordedEvent, Withheld } from '../domain/event.ts';
import {
  type FilterRule,
  filteredBy,
  type PauseReason,
  type Subscriber,
  stateOfSubscriber,
} from '../domain/subscriber.ts';

/** Why something is not there yet, or that it is. */
export interface Explanation {
  /** One word for programs. */
  readonly because:
    | 'delivered'
    | 'due'
    | 'waiting'
    | 'held'
    | 'failed'
    | 'cancelled'
    | 'past'
    | 'shadow'
    | 'imported'
    | 'filtered'
    | 'beforeRegistration'
    | 'deleted'
    | 'setAside'
    | 'notListed';
  /** One line for people. Holds ids, names, instants and codes; nothing of an event's body. */
  readonly explanation: string;
}

type Recipient = Pick<
  Subscriber,
  | 'id'
  | 'name'
  | 'eventTypes'
  | 'clinicIds'
  | 'createdAt'
  | 'pauseReasons'
  | 'pausedAt'
  | 'health'
  | 'requestsPerSecond'
  | 'deletedAt'
>;

export interface DeliveryFacts {
  readonly delivery: Delivery;
  readonly subscriber: Recipient;
  /** When the last attempt began; `null` before the first. */
  readonly lastAttemptAt: number | null;
  /** The delivery that has to end before this one is sent; `null` when there is none. */
  readonly waitsBehind: string | null;
  /** Nothing is sent. */
  readonly isShadow: boolean;
  readonly now: number;
}

export function explainDelivery(facts: DeliveryFacts): Explanation {
  const { delivery, subscriber, lastAttemptAt, waitsBehind, isShadow } = facts;
  const last = lastOutcome(delivery, lastAttemptAt);
  switch (shownState(delivery, stateOfSubscriber(subscriber))) {
    case 'delivered':
      return because(
        'delivered',
        `Delivered at ${instant(delivery.endedAt)} by attempt ${delivery.attempts}.`,
      );
    case 'cancelled':
      return because(
        'cancelled',
        `Cancelled at ${instant(delivery.endedAt)}, because its subscriber was deleted; it is never sent again.`,
      );
    case 'failed':
      return because('failed', `${failureOf(delivery, last)} ${remedyOf(delivery)}`);
    case 'held': {
      const tried = last === null ? '' : ` Last attempt: ${last}.`;
      return because('held', `${holdOf(subscriber)}${tried}${askOf(delivery)}`);
    }
    case 'pending':
      if (isShadow) return because('shadow', inShadow);
      return waitsBehind === null ? pending(facts, last) : inOrder(subscriber, waitsBehind);
  }
}

const inShadow =
  'Waiting: the relay is in shadow mode and sends nothing. It is sent once `source.shadow` is false and the relay was started again.';

function inOrder({ name }: Recipient, ahead: string): Explanation {
  return because(
    'waiting',
    `Waiting behind delivery ${ahead}, an earlier one of the same clinic: ${name} is sent each clinic's events in order. \`relay deliveries explain ${ahead}\` says what that one waits for.`,
  );
}

function pending({ delivery, subscriber, now }: DeliveryFacts, last: string | null): Explanation {
  const next = delivery.attempts + 1;
  const after = last === null ? '' : `, after ${last}`;
  if (delivery.dueAt === null || delivery.dueAt <= now) {
    return because(
      'due',
      `Attempt ${next} is due since ${instant(delivery.dueAt)}${after}; it is under way, or waits for ${turnOf(subscriber)}.${askOf(delivery)}`,
    );
  }
  const at = instant(delivery.dueAt);
  return because('waiting', `Waiting for attempt ${next} at ${at}${after}.${askOf(delivery)}`);
}

/** What a delivery that is due is waiting for, if it is not being sent. */
function turnOf({ name, health, requestsPerSecond }: Recipient): string {
  const pace = paceOf(health, requestsPerSecond);
  if (pace === null) return 'a free slot';
  const rate = `its turn: ${name} is sent at most ${pace} ${pace === 1 ? 'request' : 'requests'} a second`;
  return pace === requestsPerSecond
    ? `${rate}, as its requestsPerSecond says`
    : `${rate} until it takes one, for it fails one delivery after another`;
}

function lastOutcome({ lastOutcome: outcome }: Delivery, at: number | null): string | null {
  if (outcome === null) return null;
  return `${outcomeLabel(outcome)}${at === null ? '' : ` at ${instant(at)}`}`;
}

function failureOf({ endReason, endedAt, attempts }: Delivery, last: string | null): string {
  const at = instant(endedAt);
  switch (endReason) {
    case 'skipped':
      return `Skipped at ${at}, when its subscriber was resumed without its backlog.`;
    case 'bodyLost':
      return `Failed at ${at}, because the stored event cannot be read any more.`;
    case 'erased':
      return `Ended at ${at}, when its event was erased.`;
    default:
      return `Failed at ${at} after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}; the last one: ${last ?? 'none'}.`;
  }
}

/** What can be done about a delivery that failed. */
function remedyOf({ id, eventId, endReason, lastOutcome }: Delivery): string {
  if (endReason === 'erased') return 'There is nothing to send any more.';
  if (endReason === 'bodyLost') {
    return `\`relay replay ${id}\` fetches event ${eventId} from Fullscript again, if it is no older than 30 days; otherwise restore the data folder's \`bodies\` from a backup.`;
  }
  const repaired = challengeAsk(lastOutcome);
  return `${repaired === null ? '' : `${repaired} `}\`relay replay ${id}\` starts a new round.`;
}

/** What the receiver has to change before another attempt can succeed; empty where only it can tell. */
function askOf({ lastOutcome }: Delivery): string {
  const ask = challengeAsk(lastOutcome);
  return ask === null ? '' : ` ${ask}`;
}

function challengeAsk(outcome: Outcome | null): string | null {
  if (outcome?.kind !== 'rejected' || outcome.because !== 'challenge') return null;
  return 'To acknowledge, the receiver has to answer 200 or 201 with the JSON body {"challenge":"…"} that holds its challenge token.';
}

const pauses: Readonly<Record<PauseReason, string>> = {
  person: 'somebody paused it',
  gone: 'it answered 410 Gone',
  address: 'its address is not one the relay may dial (change its URL or `delivery.allow` first)',
  outage: 'it failed for five days',
  handshake: 'its challenge token has not been answered yet',
  removed: 'it is no longer in the configuration file (its return lifts that)',
  restored: 'the store was restored from a backup',
};

function holdOf({ id, name, pauseReasons, pausedAt, health }: Recipient): string {
  const resume = `\`relay subscribers resume ${id}\``;
  if (pauseReasons.length === 0) {
    const since = health.firstFailureAt === null ? '' : ` since ${instant(health.firstFailureAt)}`;
    const probe =
      health.nextProbeAt === null ? '' : ` The next probe is due at ${instant(health.nextProbeAt)}.`;
    return `Held, because ${name} has been failing${since}; the first success lifts it, or ${resume}.${probe}`;
  }
  const why = pauseReasons.map((reason) => pauses[reason]).join('; ');
  const held = `Held, because ${name} is paused since ${instant(pausedAt)}: ${why}.`;
  const isOnlyRemoved = pauseReasons.every((reason) => reason === 'removed');
  if (isOnlyRemoved) return held;
  const does = pauseReasons.includes('handshake') ? 'asks for it again' : 'lifts it';
  return `${held} ${resume} ${does}.`;
}

/** An event as it was seen in one clinic. */
export interface Sighting {
  readonly event: RecordedEvent;
  readonly clinicName: string | null;
}

export interface EventFacts {
  readonly eventId: string;
  readonly subscriber: Recipient;
  /** Every clinic in which it was seen; empty when it never was. */
  readonly sightings: readonly Sighting[];
  /** Items that could not be read, those of this event among them. */
  readonly setAsides: readonly SetAside[];
  readonly streams: readonly Stream[];
  /** By clinic id. */
  readonly clinicNames: ReadonlyMap<string, string>;
}

/** Why an event has no delivery for a subscriber. */
export function explainAbsence(facts: EventFacts): Explanation {
  const { eventId, subscriber, sightings } = facts;
  const item = facts.setAsides.find((each) => each.eventId === eventId && each.resolvedAt === null);
  if (sightings.length === 0 && item) {
    const state = item.isFinal ? 'is set aside and tried again daily' : 'is tried again at the next poll';
    return because(
      'setAside',
      `Listed, and cannot be read (${item.reason}: ${item.detail}); it ${state}. Last tried at ${instant(item.lastTriedAt)}.`,
    );
  }
  if (sightings.length === 0) return because('notListed', notListed(facts));
  const withheld = sightings[0]?.event.withheld;
  if (withheld !== undefined) return because(withheld, withheldBecause[withheld]);
  if (sightings.every(({ event }) => event.isPast)) {
    return because(
      'past',
      'Created before the start of its stream: known, and delivered by `relay subscribers backfill` only.',
    );
  }
  const recordedAt = Math.min(
    ...sightings.filter(({ event }) => !event.isPast).map(({ event }) => event.recordedAt),
  );
  if (recordedAt < subscriber.createdAt) {
    return because(
      'beforeRegistration',
      `Recorded at ${instant(recordedAt)}, before ${subscriber.name} was registered at ${instant(subscriber.createdAt)}; \`relay subscribers backfill\` sends it.`,
    );
  }
  return filtered(subscriber, sightings);
}

const withheldBecause: Readonly<Record<Withheld, string>> = {
  shadow: 'Recorded in shadow mode: known, and delivered by `relay subscribers backfill` only.',
  imported: 'Somebody said that it was handled elsewhere (`relay seen import`): known, and never delivered.',
};

function filtered(subscriber: Recipient, sightings: readonly Sighting[]): Explanation {
  const rules = sightings.map(({ event, clinicName }) => ({
    event,
    rule: filteredBy(subscriber, event, clinicName),
  }));
  if (rules.some(({ rule }) => rule === 'deleted')) {
    return because(
      'deleted',
      `${subscriber.name} was deleted at ${instant(subscriber.deletedAt)}; nothing is added to it.`,
    );
  }
  const found = rules.find(({ rule }) => rule !== null);
  if (found?.rule === undefined || rules.some(({ rule }) => rule === null)) {
    return because(
      'filtered',
      `The filters of ${subscriber.name} did not let it through when it was recorded; they were changed since, which adds nothing of the past.`,
    );
  }
  return because('filtered', sentenceOf(found.rule as FilterRule, subscriber, found.event));
}

function sentenceOf(
  rule: FilterRule,
  { name, eventTypes, clinicIds }: Recipient,
  event: RecordedEvent,
): string {
  return rule === 'clinicIds'
    ? `Filtered by clinicIds: its clinic ${event.clinicId} is none of those that ${name} takes (${some(clinicIds)}).`
    : `Filtered by eventTypes: ${event.type} is none of those that ${name} takes (${some(eventTypes)}).`;
}

/** What stands in the way of reading: a category that is off, a stream that does not advance. */
function notListed({ eventId, streams, clinicNames }: EventFacts): string {
  const named = (stream: Stream) =>
    `${stream.category} of ${clinicNames.get(stream.clinicId) ?? stream.clinicId}`;
  const off = streams.filter(({ isOff }) => isOff).map(named);
  const behind = streams.filter(({ isOff, failedInRow }) => !isOff && failedInRow > 0).map(named);
  const never = streams
    .filter(({ isOff, failedInRow, polledAt }) => !isOff && failedInRow === 0 && polledAt === null)
    .map(named);
  return [
    `Fullscript has not listed an event ${eventId} to the relay.`,
    ...(off.length > 0 ? [`Off at the moment: ${some(off)}.`] : []),
    ...(behind.length > 0 ? [`Could not be read lately: ${some(behind)}.`] : []),
    ...(never.length > 0 ? [`Not read to the end yet: ${some(never)}.`] : []),
  ].join(' ');
}

const namedMax = 5;

function some(names: readonly string[]): string {
  const more = names.length - namedMax;
  return `${names.slice(0, namedMax).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function because(word: Explanation['because'], explanation: string): Explanation {
  // Ids and types are the vendor's, and any text.
  return { because: word, explanation: explanation.replace(/\p{C}+/gu, ' ') };
}

function instant(at: number | null): string {
  return at === null ? 'an unknown moment' : new Date(at).toISOString();
}
