import type { Clinic } from '../domain/clinic.ts';
import { subscribersOf } from '../domain/subscriber.ts';
import type { Logger } from '../logger.ts';
import type { NewEvent, PollClaim, PollStore, SubscriberStore, UnreadableItem } from '../store/store.ts';
import { type RetrieveEvent, wordsOf } from './clinic-access.ts';
import type { ListItem } from './events-api.ts';
import { ofAnotherClinic, type SetAsides, unreadableItem } from './set-asides.ts';

export interface IntakeDependencies {
  readonly store: Pick<PollStore, 'unseen' | 'recordEvents'> & Pick<SubscriberStore, 'subscribers'>;
  readonly retrieve: RetrieveEvent;
  /** Nothing of the stream was read before, and it begins just now. */
  readonly isFirstPass: boolean;
  readonly logger: Logger;
  /** Shadow mode: everything is read and recorded, and nobody is owed it. */
  readonly isShadow: boolean;
  /** Deliveries were recorded. */
  readonly onRecorded: () => void;
}

const retrievedAtOnce = 4;
/** So many retrievals that fail one after the other are no longer a matter of single events. */
const failuresInRowMax = 4;

/** What came of an item: an event to record, nothing (set aside, or owed), or the end of the poll. */
type Read =
  | { readonly kind: 'event'; readonly event: NewEvent }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'end'; readonly problem: string };

const nothing = { kind: 'nothing' } as const;

/** Takes in what a stream lists: retrieves what is new and records it with the deliveries that follow. */
export class Intake {
  readonly #claim: PollClaim;
  readonly #clinic: Clinic | null;
  readonly #setAsides: SetAsides;
  readonly #with: IntakeDependencies;
  #owing = 0;
  #failuresInRow = 0;
  #lateMs = 0;

  constructor(
    claim: PollClaim,
    clinic: Clinic | null,
    setAsides: SetAsides,
    dependencies: IntakeDependencies,
  ) {
    this.#claim = claim;
    this.#clinic = clinic;
    this.#setAsides = setAsides;
    this.#with = dependencies;
  }

  /** Events that could not be retrieved and may be yet: the cursor waits for them. */
  get owing(): number {
    return this.#owing;
  }

  /** The greatest lateness so far, in milliseconds: see `Lateness`. */
  get lateMs(): number {
    return this.#lateMs;
  }

  /**
   * Resolves when everything of the page is on record, visibly set aside, or owed.
   * @returns why the poll cannot go on; `null` when it can.
   */
  async takePage(items: readonly ListItem[]): Promise<string | null> {
    const wanted = new Map<string, IdentifiedItem>();
    for (const item of items) {
      const unreadable = unreadableItem(item, this.#claim.stream.clinicId);
      if (unreadable) await this.#setAside(unreadable);
      else if (isIdentified(item) && !this.#setAsides.isLeftAlone(item.id)) wanted.set(item.id, item);
    }
    const unseen = new Set(await this.#with.store.unseen(this.#claim.stream.clinicId, [...wanted.keys()]));
    const fresh = [...wanted.values()]
      .filter(({ id }) => unseen.has(id))
      .sort((a, b) => (a.createdAt ?? 0) - (b.createdAt ?? 0));
    await this.#record(fresh.filter((item) => this.#isOfThePast(item)).map(pastEvent));
    const due = fresh.filter((item) => !this.#isOfThePast(item));
    for (let from = 0; from < due.length; from += retrievedAtOnce) {
      const reads = await Promise.all(
        due.slice(from, from + retrievedAtOnce).map((item) => this.#read(item)),
      );
      await this.#record(reads.flatMap((read) => (read.kind === 'event' ? [read.event] : [])));
      const end = reads.find((read) => read.kind === 'end');
      if (end) return end.problem;
    }
    return null;
  }

  /** What the first pass lists without a date may be of any age, so it counts as past. */
  #isOfThePast({ createdAt }: ListItem): boolean {
    return createdAt === null ? this.#with.isFirstPass : createdAt < this.#claim.stream.startAt;
  }

  async #setAside(item: UnreadableItem): Promise<Read> {
    if (await this.#setAsides.add(item)) this.#owing++;
    return nothing;
  }

  async #read(item: IdentifiedItem): Promise<Read> {
    const { stream } = this.#claim;
    const { id } = item;
    const answer = await this.#with.retrieve({ clinicId: stream.clinicId, eventId: id });
    const isFailure = answer.kind === 'unavailable' || answer.kind === 'forbidden';
    this.#failuresInRow = isFailure ? this.#failuresInRow + 1 : 0;
    switch (answer.kind) {
      case 'event': {
        const foreign = ofAnotherClinic({ id, clinicId: answer.clinicId }, stream.clinicId);
        if (foreign) return this.#setAside(foreign);
        const createdAt = answer.createdAt ?? item.createdAt;
        const type = answer.type ?? typeOf(item);
        const isPast = createdAt === null ? stream.cursor === null : createdAt < stream.startAt;
        const body = isPast ? null : answer.body;
        return { kind: 'event', event: { id, type, createdAt, body, isPast, subscriberIds: [] } };
      }
      case 'tooLarge':
        return this.#setAside({ key: id, eventId: id, reason: 'tooLarge', detail: answer.detail });
      case 'notFound':
      case 'rejected':
      case 'unreadable':
        return this.#setAside({ key: id, eventId: id, reason: 'retrievalFailed', detail: wordsOf(answer) });
      case 'unavailable':
      case 'forbidden':
        if (this.#failuresInRow >= failuresInRowMax) {
          return { kind: 'end', problem: `events could not be retrieved: ${wordsOf(answer)}` };
        }
        this.#owing++;
        return nothing;
      case 'limited':
      case 'unauthorized':
      case 'noAccess':
        return { kind: 'end', problem: `an event could not be retrieved: ${wordsOf(answer)}` };
    }
  }

  /** Oldest first; computed again for as long as the set of subscribers changes under it. */
  async #record(events: readonly NewEvent[]): Promise<void> {
    if (events.length === 0) return;
    const { store, logger, onRecorded, isShadow } = this.#with;
    const { clinicId, category } = this.#claim.stream;
    const inOrder = [...events].sort((a, b) => (a.createdAt ?? 0) - (b.createdAt ?? 0));
    for (;;) {
      const { version, subscribers } = await store.subscribers();
      const owed = inOrder.map((event): NewEvent => {
        if (event.isPast) return event;
        if (isShadow) return { ...event, withheld: 'shadow' };
        const { type } = event;
        return { ...event, subscriberIds: subscribersOf({ type, clinicId }, subscribers, this.#clinic) };
      });
      const recorded = await store.recordEvents(this.#claim, { events: owed, subscribersVersion: version });
      if (recorded.kind === 'subscribersChanged') continue;
      this.#noteLateness(events);
      if (recorded.events > 0) {
        const { events: count, deliveries } = recorded;
        logger.info('Events were recorded.', { clinicId, category, events: count, deliveries });
        this.#tellRevokedKeys(events);
      }
      for (const eventId of recorded.differing) {
        logger.warn('An event differs from the one of the same id in another clinic.', { clinicId, eventId });
      }
      if (recorded.deliveries > 0) onRecorded();
      return;
    }
  }

  /** It is the key of an older scheme: what the relay reads by is the authorization, and the vendor says when that ends. */
  #tellRevokedKeys(events: readonly NewEvent[]): void {
    const { clinicId } = this.#claim.stream;
    for (const { id: eventId, type, isPast } of events) {
      if (type === 'clinic_key.revoked' && !isPast) this.#with.logger.warn(keyRevoked, { clinicId, eventId });
    }
  }

  /** The last complete poll began after it was created, and did not list it. What was set aside had been listed. */
  #noteLateness(events: readonly NewEvent[]): void {
    const { cursor } = this.#claim.stream;
    for (const { id, createdAt, isPast } of events) {
      if (cursor === null || createdAt === null || isPast || this.#setAsides.isKnown(id)) continue;
      this.#lateMs = Math.max(this.#lateMs, cursor - createdAt);
    }
  }
}

const keyRevoked =
  'A clinic has revoked its key; it is read on for as long as its authorization holds. Ask it whether that was meant.';

type IdentifiedItem = ListItem & { readonly id: string };

function isIdentified(item: ListItem): item is IdentifiedItem {
  return item.id !== null;
}

function typeOf({ type }: ListItem): string {
  return type ?? 'unknown';
}

function pastEvent(item: IdentifiedItem): NewEvent {
  const { id, createdAt } = item;
  return { id, type: typeOf(item), createdAt, body: null, isPast: true, subscriberIds: [] };
}
