import type { Clock } from '../clock.ts';
import type { Clinic, Stream, StreamKey } from '../domain/clinic.ts';
import { categoryOfType } from '../domain/event.ts';
import { subscribersOf } from '../domain/subscriber.ts';
import type { Logger } from '../logger.ts';
import type { RequestHeaders } from '../receiver/header-fields.ts';
import { verify } from '../receiver/verify.ts';
import type { ClinicStore, NewEvent, PollStore, PushStore, SubscriberStore } from '../store/store.ts';
import { type EventInText, eventIn } from './events-api.ts';
import { idLengthMax } from './set-asides.ts';

/** What came of a request that may be one of Fullscript's own webhooks. */
export type Ingested =
  /** On record, and durable: by this request, by a poll before, or by an earlier webhook. */
  | { readonly kind: 'recorded'; readonly came: 'first' | 'later' | 'again' }
  /** Nothing shows that Fullscript sent it. */
  | { readonly kind: 'unsigned'; readonly message: string }
  | { readonly kind: 'unreadable'; readonly message: string }
  /** It is of a clinic that the relay does not read, or not yet; `clinicId` is `null` when it names none. */
  | { readonly kind: 'foreign'; readonly clinicId: string | null };

export type Ingest = (request: {
  readonly headers: RequestHeaders;
  readonly body: Buffer;
}) => Promise<Ingested>;

export interface IngestDependencies {
  readonly store: PushStore &
    Pick<ClinicStore, 'clinics'> &
    Pick<PollStore, 'streams'> &
    Pick<SubscriberStore, 'subscribers'>;
  /** Fullscript's signature secret key, as its dashboard shows it. */
  readonly secret: string;
  /** Nobody is owed anything: see `source.shadow`. */
  readonly isShadow: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Deliveries were recorded. */
  readonly onRecorded: () => void;
}

/**
 * Takes in Fullscript's own webhooks beside the polls. Both record by clinic and event id,
 * so whichever comes first is delivered and the other changes nothing.
 *
 * An event that names no clinic, as those of new products do, is taken for the only
 * clinic's when there is but one; else polling has to bring it.
 *
 * @throws StoreUnavailable, StoreBroken
 */
export function createIngest(dependencies: IngestDependencies): Ingest {
  const { store, secret, isShadow, clock, logger, onRecorded } = dependencies;
  const record = async (event: EventInText, clinic: Clinic): Promise<Ingested> => {
    const { id, createdAt } = event;
    const type = event.type ?? 'unknown';
    const stream = { clinicId: clinic.id, category: categoryOfType(type) };
    const startAt = startOf(await store.streams(), stream);
    // Its start is not chosen yet: taken now, the event would be one of the past for ever.
    if (startAt === null) return { kind: 'foreign', clinicId: clinic.id };
    const isPast = createdAt !== null && createdAt < startAt;
    const body = isPast ? null : event.body;
    for (;;) {
      const { version, subscribers } = await store.subscribers();
      const isOwed = !isPast && !isShadow;
      const owed: NewEvent = {
        id,
        type,
        createdAt,
        body,
        isPast,
        subscriberIds: isOwed ? subscribersOf({ type, clinicId: clinic.id }, subscribers, clinic) : [],
        ...(isShadow && !isPast && { withheld: 'shadow' }),
      };
      const recorded = await store.recordPushed({ stream, event: owed, subscribersVersion: version });
      if (recorded.kind === 'subscribersChanged') continue;
      const facts = { ...stream, eventId: id };
      if (recorded.differs)
        logger.warn('A webhook of Fullscript’s differs from what a poll retrieved.', facts);
      if (recorded.kind === 'first') {
        logger.info('A webhook of Fullscript’s brought an event.', {
          ...facts,
          deliveries: recorded.deliveries,
        });
      }
      if (recorded.deliveries > 0) onRecorded();
      return { kind: 'recorded', came: recorded.kind };
    }
  };

  return async ({ headers, body }) => {
    const verdict = verify({ headers, body }, { secrets: [secret], profile: 'fullscript', now: clock.wall });
    if (verdict.kind === 'refused') {
      const { reason, message } = verdict;
      return { kind: reason === 'notAnEvent' ? 'unreadable' : 'unsigned', message };
    }
    const event = readPushed(body);
    if (typeof event === 'string') return { kind: 'unreadable', message: event };
    const clinics = (await store.clinics()).filter(({ isRemoved, isPaused }) => !isRemoved && !isPaused);
    const clinic =
      event.clinicId === null && clinics.length === 1
        ? clinics[0]
        : clinics.find(({ id }) => id === event.clinicId);
    if (clinic !== undefined) return record(event, clinic);
    logger.warn('A webhook of Fullscript’s is of a clinic that is not read here.', { eventId: event.id });
    return { kind: 'foreign', clinicId: event.clinicId };
  };
}

/** The event in its exact text; as a text, why it cannot be taken. */
function readPushed(body: Buffer): EventInText | string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    return 'The body is not UTF-8.';
  }
  const event = eventIn({ value: JSON.parse(text), text }, () => true);
  if (event === null) return 'The event has no id that can be used.';
  return event.id.length > idLengthMax ? `The id has ${event.id.length} characters.` : event;
}

/**
 * What was created before is of the past; a category that is not read begins with the
 * clinic's first stream. `null` for a clinic without streams.
 */
function startOf(streams: readonly Stream[], { clinicId, category }: StreamKey): number | null {
  const own = streams.filter((stream) => stream.clinicId === clinicId);
  const stream = own.find((each) => each.category === category);
  if (stream !== undefined) return stream.startAt;
  return own.length === 0 ? null : Math.min(...own.map(({ startAt }) => startAt));
}
