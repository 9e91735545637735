import { type Clock, wait } from '../clock.ts';
import type { Stream } from '../domain/clinic.ts';
import { deliveryIdOf, shownState } from '../domain/delivery.ts';
import { stateOfSubscriber } from '../domain/subscriber.ts';
import type { LogStore, PollStore, SubscriberSet, SubscriberStore } from '../store/store.ts';
import type { AskedPollEnd } from './asked-polls.ts';
import { type Bucket, buckets, Tally, type UnlistedReason } from './audit-book.ts';
import { type ListEvents, wordsOf } from './clinic-access.ts';
import type { ListItem } from './events-api.ts';
import { halted, unlessHalted } from './halted.ts';
import { dayBeforeHistory } from './list-bounds.ts';
import { listPages } from './list-pages.ts';
import { unreadableItem } from './set-asides.ts';

/** Polls a stream and tells how that poll ended; see `Poller.pollAgain`. */
export type PollAgain = (
  stream: Stream,
  how: { readonly isSweep: boolean; readonly signal: AbortSignal },
) => Promise<AskedPollEnd>;

export interface AuditDependencies {
  readonly store: Pick<PollStore, 'unseen' | 'setAsides'> &
    Pick<LogStore, 'delivery' | 'event'> &
    Pick<SubscriberStore, 'subscribers'>;
  /** Within what the polls leave of the budget. */
  readonly list: ListEvents;
  readonly pollAgain: PollAgain;
  readonly clock: Clock;
  /** Ends the audit where it is. */
  readonly halt: AbortSignal;
}

/** What was found out about a stream; `halted` says nothing. */
export type StreamFinding =
  | {
      readonly kind: 'listed';
      readonly tally: Tally;
      readonly withoutId: number;
      /** All of them: ids, or what stands for an id that is too long. */
      readonly missing: readonly string[];
      readonly problem: string | null;
    }
  | { readonly kind: 'unlisted'; readonly reason: UnlistedReason; readonly detail: string }
  | { readonly kind: 'halted' };

const listTriesMax = 3;
const listAgainMs = 30_000;
const pollTriesMax = 2;
const pollAgainMs = 60_000;

/**
 * Compares one stream with the log: lists the vendor's whole 30 days and counts what
 * became of each event. What the log does not know yet may simply be new, so the stream
 * is polled then, and only what is unknown after that counts as missing.
 *
 * Nothing is remembered of a stream but its counts, so that an audit of a thousand
 * clinics needs no more memory than one of its largest stream.
 */
export async function auditStream(stream: Stream, dependencies: AuditDependencies): Promise<StreamFinding> {
  return new StreamAudit(stream, dependencies).run();
}

/**
 * Has the missing events of a stream taken in, by a sweep: the ordinary way in, so that
 * each is enqueued once, and one from before the stream's start is recorded as past.
 *
 * @returns how many of them the log knows now; `null` when halted.
 */
export async function repairStream(
  stream: Stream,
  missing: readonly string[],
  { store, pollAgain, clock, halt }: AuditDependencies,
): Promise<number | null> {
  for (let tries = 1; tries <= pollTriesMax; tries++) {
    if (tries > 1) await wait(clock, pollAgainMs, halt);
    if (halt.aborted) return null;
    const end = await pollAgain(stream, { isSweep: true, signal: halt });
    if (halt.aborted) return null;
    if (end.kind === 'completed') break;
  }
  return missing.length - (await store.unseen(stream.clinicId, missing)).length;
}

interface Unknown {
  readonly createdAt: number | null;
}

class StreamAudit {
  readonly #stream: Stream;
  readonly #with: AuditDependencies;
  readonly #tally: Tally;
  /** What was met so far: pages shift while they are read, and show an item twice. */
  readonly #met = new Set<string>();
  readonly #withoutId = new Set<string>();
  /** By id: listed, and not known to the log. */
  #unknown = new Map<string, Unknown>();

  constructor(stream: Stream, dependencies: AuditDependencies) {
    this.#stream = stream;
    this.#with = dependencies;
    this.#tally = new Tally(dependencies.clock.now());
  }

  async run(): Promise<StreamFinding> {
    const obstacle = await this.#list();
    if (obstacle !== null) return obstacle;
    let problem: string | null = null;
    await this.#takeOutSetAsides();
    for (let tries = 1; tries <= pollTriesMax && this.#unknown.size > 0; tries++) {
      if (tries > 1) await wait(this.#with.clock, pollAgainMs, this.#with.halt);
      if (this.#with.halt.aborted) return halted;
      const end = await this.#with.pollAgain(this.#stream, { isSweep: false, signal: this.#with.halt });
      if (this.#with.halt.aborted) return halted;
      await this.#lookAgain();
      problem = problemOf(end);
      if (problem === null) break;
    }
    for (const { createdAt } of this.#unknown.values()) this.#tally.count(createdAt, 'missing');
    return {
      kind: 'listed',
      tally: this.#tally,
      withoutId: this.#withoutId.size,
      missing: [...this.#unknown.keys()],
      problem: this.#unknown.size > 0 ? problem : null,
    };
  }

  /** @returns why it could not be read to its last page. */
  async #list(): Promise<Exclude<StreamFinding, { kind: 'listed' }> | null> {
    const { list, clock, halt } = this.#with;
    const { clinicId, category } = this.#stream;
    const afterDay = dayBeforeHistory(this.#stream, clock.now());
    const ask = (page: number) => unlessHalted(list({ clinicId, category, afterDay, page }), halt);
    let pages = 0;
    let tries = 1;
    for await (const answer of listPages(ask)) {
      switch (answer.kind) {
        case 'page':
          pages++;
          tries = 1;
          await this.#takePage(answer.items);
          continue;
        case 'halted':
          return answer;
        case 'forbidden':
        case 'notFound':
          return { kind: 'unlisted', reason: 'off', detail: wordsOf(answer) };
        case 'noAccess':
          return { kind: 'unlisted', reason: 'noAccess', detail: answer.detail };
        case 'endless':
          return failed(answer.detail);
      }
      if (tries === listTriesMax) return failed(`page ${pages + 1} could not be read: ${wordsOf(answer)}`);
      tries++;
      await wait(clock, listAgainMs, halt);
    }
    return null;
  }

  async #takePage(items: readonly ListItem[]): Promise<void> {
    const { store } = this.#with;
    const { clinicId } = this.#stream;
    const fresh = new Map<string, Unknown>();
    for (const item of items) {
      if (item.id === null) this.#withoutId.add(item.digest);
      // One that cannot be taken in is known by what it is set aside as.
      const key = unreadableItem(item, clinicId)?.key ?? item.id;
      if (item.id === null || key === null || this.#met.has(key)) continue;
      this.#met.add(key);
      this.#tally.count(item.createdAt, 'listed');
      fresh.set(key, item);
    }
    const unseen = new Set(await store.unseen(clinicId, [...fresh.keys()]));
    for (const [id, { createdAt }] of fresh) if (unseen.has(id)) this.#unknown.set(id, { createdAt });
    await this.#countKnown([...fresh].filter(([id]) => !unseen.has(id)));
  }

  /** Takes out what is on record or set aside by now. */
  async #lookAgain(): Promise<void> {
    const unseen = await this.#with.store.unseen(this.#stream.clinicId, [...this.#unknown.keys()]);
    const still = new Set(unseen);
    const known = [...this.#unknown].filter(([id]) => !still.has(id));
    for (const [id] of known) this.#unknown.delete(id);
    await this.#countKnown(known);
    await this.#takeOutSetAsides();
  }

  async #takeOutSetAsides(): Promise<void> {
    if (this.#unknown.size === 0) return;
    const { clinicId, category } = this.#stream;
    for (const item of await this.#with.store.setAsides()) {
      const unknown = this.#unknown.get(item.key);
      if (unknown === undefined || item.clinicId !== clinicId || item.category !== category) continue;
      this.#unknown.delete(item.key);
      this.#tally.count(unknown.createdAt, 'setAside');
    }
  }

  async #countKnown(events: readonly (readonly [string, Unknown])[]): Promise<void> {
    if (events.length === 0) return;
    const subscribers = await this.#with.store.subscribers();
    for (const [eventId, { createdAt }] of events) {
      this.#tally.count(createdAt, await this.#bucketOf(eventId, subscribers));
    }
  }

  /**
   * By its deliveries in this clinic; where every subscriber had it through another clinic
   * already, by those of the one in which it was first seen.
   */
  async #bucketOf(eventId: string, { subscribers }: SubscriberSet): Promise<Bucket> {
    const { store } = this.#with;
    const { clinicId } = this.#stream;
    const found = await Promise.all(
      subscribers.map(async (subscriber) => {
        const delivery = await store.delivery(deliveryIdOf(eventId, subscriber.id));
        if (delivery === null) return [];
        const state = shownState(delivery, stateOfSubscriber(subscriber));
        return [{ clinicId: delivery.clinicId, state }];
      }),
    );
    const deliveries = found.flat();
    if (deliveries.length === 0) return 'filtered';
    const isHere = deliveries.some((delivery) => delivery.clinicId === clinicId);
    const countedIn = isHere ? clinicId : (await store.event(eventId))[0]?.clinicId;
    const states = new Set<string>(
      deliveries.filter((delivery) => delivery.clinicId === countedIn).map(({ state }) => state),
    );
    return buckets.find((bucket) => states.has(bucket)) ?? 'filtered';
  }
}

function failed(detail: string): Exclude<StreamFinding, { kind: 'listed' }> {
  return { kind: 'unlisted', reason: 'failed', detail };
}

function problemOf(end: AskedPollEnd): string | null {
  switch (end.kind) {
    case 'completed':
      return null;
    case 'failed':
      return end.problem;
    case 'notYet':
      return 'its turn to be polled did not come';
  }
}
