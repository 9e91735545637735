import type { SetAside, Stream } from '../domain/clinic.ts';
import type { RecordedEvent, Withheld } from '../domain/event.ts';
import { type FilterRule, filteredBy } from '../domain/subscriber.ts';
import { because, type Explanation, instant, type Recipient } from './explanation.ts';

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
