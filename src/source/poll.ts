import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Clinic, SetAside, Stream } from '../domain/clinic.ts';
import { subscribersOf } from '../domain/subscriber.ts';
import type { Logger } from '../logger.ts';
import type {
  ClinicStore,
  NewEvent,
  PollClaim,
  PollEnd,
  PollStore,
  SubscriberStore,
  UnreadableItem,
} from '../store/store.ts';
import type { ListEvents, RetrieveEvent } from './clinic-access.ts';
import type { ListItem } from './events-api.ts';

export interface PollDependencies {
  readonly store: Pick<
    PollStore,
    'unseen' | 'recordEvents' | 'setAside' | 'setAsides' | 'renewPoll' | 'endPoll'
  > &
    Pick<SubscriberStore, 'subscribers'> &
    Pick<ClinicStore, 'clinics'>;
  readonly list: ListEvents;
  readonly retrieve: RetrieveEvent;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly overlapDays: number;
  readonly sweepHours: number;
  /** When to poll again, see `Schedule`. */
  readonly nextPollAt: (stream: Stream) => number;
  readonly retryAt: (stream: Stream) => number;
  /** Deliveries were recorded. */
  readonly onRecorded: () => void;
}

const dayMs = 86_400_000;
const hourMs = 3_600_000;
const listedDays = 30;
/** Whether the day that a list begins with is among those listed, the vendor does not say. */
const historyDays = listedDays + 1;
const pagesMax = 1_000;
const idLengthMax = 10_000;
const retrievedAtOnce = 4;
/** So many retrievals that fail one after the other are no longer a matter of single events. */
const failuresInRowMax = 4;
const leaseMs = 120_000;
const offRetryMs = hourMs;
const setAsideRetryMs = dayMs;

/**
 * Polls one stream once: reads the list to its last page, retrieves what is new, records
 * it with the deliveries that follow, and only then moves the cursor.
 *
 * The ids are the truth and the cursor a hint: each poll begins `overlapDays` before it
 * (and a day more, because the vendor's days have an unknown time zone), a sweep at the
 * first event there is, and no known id ends the reading. Whatever goes wrong leaves the
 * cursor where it is, and everything that could be read recorded: one event that the
 * vendor never hands out (500, 403, a time-out) does not hold up those after it.
 *
 * @throws ClaimLost, StoreUnavailable, StoreBroken
 */
export async function poll(claim: PollClaim, dependencies: PollDependencies): Promise<Stream> {
  const { store } = dependencies;
  const release = keepLease(claim, dependencies);
  try {
    const end = await new Reading(claim, dependencies).run();
    return await store.endPoll(claim, end);
  } finally {
    release();
  }
}

/** A page may take long: the budget may be spent, or the vendor may ask for air. */
function keepLease(claim: PollClaim, { store, clock, logger }: PollDependencies): () => void {
  let cancel = (): void => {};
  const renewLater = (): void => {
    cancel = clock.after(leaseMs / 3, () => {
      store.renewPoll(claim, leaseMs).then(renewLater, () => {
        const { clinicId, category } = claim.stream;
        logger.warn('The lease of a poll is lost.', { clinicId, category });
      });
    });
  };
  renewLater();
  return () => cancel();
}

/** Ends the reading: the cursor stays. */
class Stop {
  readonly end: PollEnd;

  constructor(end: PollEnd) {
    this.end = end;
  }
}

class Reading {
  readonly #claim: PollClaim;
  readonly #with: PollDependencies;
  readonly #isSweep: boolean;
  readonly #now: number;
  #setAsides = new Map<string, SetAside>();
  #clinic: Clinic | null = null;
  #newestEventAt: number | null = null;
  /** Events whose retrieval failed and may still succeed: the cursor waits for them. */
  #owing = 0;
  #failuresInRow = 0;

  constructor(claim: PollClaim, dependencies: PollDependencies) {
    this.#claim = claim;
    this.#with = dependencies;
    this.#now = dependencies.clock.now();
    const { cursor, sweptAt } = claim.stream;
    const isSweepDue = sweptAt === null || this.#now - sweptAt >= dependencies.sweepHours * hourMs;
    this.#isSweep = cursor === null || isSweepDue;
  }

  async run(): Promise<PollEnd> {
    const { store } = this.#with;
    const { clinicId, category } = this.#claim.stream;
    this.#tellOfGap();
    this.#clinic = (await store.clinics()).find((clinic) => clinic.id === clinicId) ?? null;
    for (const item of await store.setAsides()) {
      if (item.clinicId === clinicId && item.category === category) this.#setAsides.set(item.key, item);
    }
    try {
      return await this.#readPages();
    } catch (stop) {
      if (stop instanceof Stop) return stop.end;
      throw stop;
    }
  }

  async #readPages(): Promise<PollEnd> {
    const { list } = this.#with;
    const { clinicId, category } = this.#claim.stream;
    const afterDay = this.#afterDay();
    let beganAt: number | null = null;
    for (let page = 1; page <= pagesMax; ) {
      const answer = await list({ clinicId, category, afterDay, page });
      if (answer.kind !== 'page') throw this.#stopAt(answer);
      // Of two clocks the earlier one is safe: it only reads more again.
      beganAt ??= Math.min(answer.vendorNow ?? this.#now, this.#now);
      await this.#takePage(answer.items);
      if (answer.nextPage === null) return this.#completed(beganAt);
      if (answer.nextPage <= page) throw this.#failed(`page ${page} is followed by page ${answer.nextPage}`);
      page = answer.nextPage;
    }
    throw this.#failed(`the list has more than ${pagesMax} pages`);
  }

  #completed(beganAt: number): PollEnd {
    if (this.#owing > 0) throw this.#failed(`${this.#owing} events could not be retrieved yet`);
    const { stream } = this.#claim;
    return {
      kind: 'completed',
      cursor: beganAt,
      isSweep: this.#isSweep,
      newestEventAt: this.#newestEventAt,
      nextPollAt: this.#with.nextPollAt(stream),
    };
  }

  /** The day before the first one that is wanted. */
  #afterDay(): string {
    const { cursor } = this.#claim.stream;
    const days = this.#with.overlapDays + 1;
    const sweepFrom = this.#now - historyDays * dayMs;
    const from = this.#isSweep || cursor === null ? sweepFrom : Math.max(cursor - days * dayMs, sweepFrom);
    return new Date(from).toISOString().slice(0, 10);
  }

  /** Longer away than the vendor remembers: what happened in between can be read nowhere. */
  #tellOfGap(): void {
    const { clinicId, category, cursor } = this.#claim.stream;
    const listedFrom = this.#now - listedDays * dayMs;
    if (cursor === null || cursor >= listedFrom) return;
    this.#with.logger.error(
      'A stream was not read for longer than the vendor remembers; events may be lost.',
      {
        clinicId,
        category,
        from: new Date(cursor).toISOString(),
        until: new Date(listedFrom).toISOString(),
      },
    );
  }

  /** Everything of a page is on record, or visibly set aside, before the next page is asked for. */
  async #takePage(items: readonly ListItem[]): Promise<void> {
    const wanted = new Map<string, ListItem>();
    for (const item of items) {
      if (item.createdAt !== null) this.#newestEventAt = Math.max(this.#newestEventAt ?? 0, item.createdAt);
      const unreadable = this.#unreadable(item);
      if (unreadable) await this.#setAside(unreadable);
      else if (item.id !== null && !this.#isLeftAlone(item.id)) wanted.set(item.id, item);
    }
    const unseen = await this.#with.store.unseen(this.#claim.stream.clinicId, [...wanted.keys()]);
    const fresh = unseen
      .map((id) => ({ ...(wanted.get(id) as ListItem), id }))
      .sort((a, b) => (a.createdAt ?? 0) - (b.createdAt ?? 0));
    await this.#record(fresh.filter((item) => this.#isOfThePast(item)).map(pastEvent));
    const due = fresh.filter((item) => !this.#isOfThePast(item));
    for (let from = 0; from < due.length; from += retrievedAtOnce) {
      const read = await Promise.all(due.slice(from, from + retrievedAtOnce).map((item) => this.#read(item)));
      await this.#record(
        read.filter((event): event is NewEvent => event !== null && !(event instanceof Stop)),
      );
      const stop = read.find((event) => event instanceof Stop);
      if (stop instanceof Stop) throw stop;
    }
  }

  #unreadable({ id, clinicId, digest }: ListItem): UnreadableItem | null {
    if (id === null) {
      const detail = 'the list names it without an id that can be used';
      return { key: `sha256:${digest}`, eventId: null, reason: 'noId', detail };
    }
    if (id.length > idLengthMax) {
      const key = `sha256:${createHash('sha256').update(id).digest('hex')}`;
      return { key, eventId: null, reason: 'tooLarge', detail: `its id has ${id.length} characters` };
    }
    return this.#ofAnotherClinic(id, clinicId);
  }

  #ofAnotherClinic(id: string, clinicId: string | null): UnreadableItem | null {
    if (clinicId === null || clinicId === this.#claim.stream.clinicId) return null;
    return {
      key: id,
      eventId: id,
      reason: 'otherClinic',
      detail: `it says that it belongs to clinic ${clinicId}`,
    };
  }

  /** What was set aside for good is looked at once a day. */
  #isLeftAlone(key: string): boolean {
    const item = this.#setAsides.get(key);
    return item?.isFinal === true && this.#now - item.lastTriedAt < setAsideRetryMs;
  }

  async #setAside(item: UnreadableItem): Promise<void> {
    if (this.#isLeftAlone(item.key)) return;
    const { store, logger } = this.#with;
    const { clinicId, category } = this.#claim.stream;
    const row = await store.setAside(this.#claim, item);
    if (!row.isFinal) this.#owing++;
    logger.warn(row.isFinal ? 'An item was set aside.' : 'An event cannot be retrieved; it is tried again.', {
      clinicId,
      category,
      eventId: item.eventId,
      reason: item.reason,
      detail: item.detail,
      tries: row.tries,
    });
  }

  /** What the first pass lists without a date may be of any age, so it counts as past. */
  #isOfThePast({ createdAt }: ListItem): boolean {
    const { cursor, startAt } = this.#claim.stream;
    return createdAt === null ? cursor === null : createdAt < startAt;
  }

  /** The new event; `null` when it was set aside or is owed; a Stop when the poll cannot go on. */
  async #read(item: IdentifiedItem): Promise<NewEvent | Stop | null> {
    const { stream } = this.#claim;
    const { id } = item;
    const answer = await this.#with.retrieve({ clinicId: stream.clinicId, eventId: id });
    this.#failuresInRow = isFailure(answer) ? this.#failuresInRow + 1 : 0;
    switch (answer.kind) {
      case 'event': {
        const foreign = this.#ofAnotherClinic(id, answer.clinicId);
        if (foreign) {
          await this.#setAside(foreign);
          return null;
        }
        const createdAt = answer.createdAt ?? item.createdAt;
        const type = answer.type ?? typeOf(item);
        const isPast = createdAt !== null && createdAt < stream.startAt;
        return { id, type, createdAt, body: isPast ? null : answer.body, isPast, subscriberIds: [] };
      }
      case 'tooLarge':
        await this.#setAside({ key: id, eventId: id, reason: 'tooLarge', detail: answer.detail });
        return null;
      case 'notFound':
      case 'rejected':
      case 'unreadable': {
        const detail =
          answer.kind === 'unreadable'
            ? answer.detail
            : `status ${answer.kind === 'notFound' ? 404 : answer.status}`;
        await this.#setAside({ key: id, eventId: id, reason: 'retrievalFailed', detail });
        return null;
      }
      case 'unavailable':
      case 'forbidden':
        if (this.#failuresInRow < failuresInRowMax) {
          this.#owing++;
          return null;
        }
        return this.#failed(`events could not be retrieved: ${wordsOf(answer)}`);
      default:
        return this.#failed(`an event could not be retrieved: ${wordsOf(answer)}`);
    }
  }

  /** Oldest first; computed again for as long as the set of subscribers changes under it. */
  async #record(events: readonly NewEvent[]): Promise<void> {
    if (events.length === 0) return;
    const { store, logger, onRecorded } = this.#with;
    const { clinicId, category } = this.#claim.stream;
    const inOrder = [...events].sort((a, b) => (a.createdAt ?? 0) - (b.createdAt ?? 0));
    for (;;) {
      const { version, subscribers } = await store.subscribers();
      const owed = inOrder.map((event) => ({
        ...event,
        subscriberIds: event.isPast
          ? []
          : subscribersOf({ type: event.type, clinicId }, subscribers, this.#clinic),
      }));
      const recorded = await store.recordEvents(this.#claim, { events: owed, subscribersVersion: version });
      if (recorded.kind === 'subscribersChanged') continue;
      if (recorded.events > 0) {
        const { events: count, deliveries } = recorded;
        logger.info('Events were recorded.', { clinicId, category, events: count, deliveries });
      }
      for (const eventId of recorded.differing) {
        logger.warn('An event differs from the one of the same id in another clinic.', { clinicId, eventId });
      }
      if (recorded.deliveries > 0) onRecorded();
      return;
    }
  }

  #stopAt(answer: Exclude<Awaited<ReturnType<ListEvents>>, { kind: 'page' }>): Stop {
    if (answer.kind === 'forbidden' || answer.kind === 'notFound') {
      const { clinicId, category, isOff } = this.#claim.stream;
      if (!isOff)
        this.#with.logger.warn('A category is off for a clinic.', {
          clinicId,
          category,
          answer: answer.kind,
        });
      const problem =
        answer.kind === 'forbidden' ? 'the token may not read it' : 'the vendor has no such list (404)';
      return new Stop({ kind: 'off', problem, nextPollAt: this.#now + offRetryMs });
    }
    return this.#failed(`the list could not be read: ${wordsOf(answer)}`);
  }

  #failed(problem: string): Stop {
    const { clinicId, category } = this.#claim.stream;
    this.#with.logger.warn('A poll failed; the cursor stays.', { clinicId, category, problem });
    return new Stop({ kind: 'failed', problem, nextPollAt: this.#with.retryAt(this.#claim.stream) });
  }
}

type IdentifiedItem = ListItem & { readonly id: string };

function typeOf({ type }: ListItem): string {
  return type ?? 'unknown';
}

function pastEvent(item: IdentifiedItem): NewEvent {
  const { id, createdAt } = item;
  return { id, type: typeOf(item), createdAt, body: null, isPast: true, subscriberIds: [] };
}

function isFailure({ kind }: Awaited<ReturnType<RetrieveEvent>>): boolean {
  return kind === 'unavailable' || kind === 'forbidden';
}

function wordsOf(
  answer: Exclude<
    Awaited<ReturnType<ListEvents>> | Awaited<ReturnType<RetrieveEvent>>,
    { kind: 'page' | 'event' }
  >,
): string {
  switch (answer.kind) {
    case 'unauthorized':
      return 'status 401';
    case 'forbidden':
      return 'status 403';
    case 'notFound':
      return 'status 404';
    case 'limited':
    case 'rejected':
      return `status ${answer.status}`;
    case 'tooLarge':
    case 'unreadable':
    case 'unavailable':
    case 'noAccess':
      return answer.detail;
  }
}
