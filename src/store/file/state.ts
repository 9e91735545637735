import type { Clinic, SetAside, Stream } from '../../domain/clinic.ts';
import { type Delivery, endUnsent, newDelivery, startRound } from '../../domain/delivery.ts';
import { StoreCorrupt } from '../../domain/errors.ts';
import { type Health, untriedHealth } from '../../domain/subscriber.ts';
import type { Job } from '../store.ts';
import { Column, Words } from './columns.ts';
import { DueQueues } from './due-queues.ts';
import type {
  AttemptFact,
  AttemptRow,
  ConnectionRow,
  ErasedFact,
  EventFact,
  Fact,
  LinkRow,
  OpenAttempt,
  OwedFact,
  RevocationRow,
  Run,
  SubscriberRow,
  TokenKeyRow,
} from './facts.ts';
import { type DeliveryRows, deliveryKind, type EventRows, eventKey, eventKind, stateIn } from './kinds.ts';
import { LogRows } from './log-rows.ts';
import { Table, UndoLog } from './table.ts';

export interface BudgetBlock {
  readonly at: number;
  readonly count: number;
  readonly countsUntil: number;
}

/**
 * Everything the file store knows, in memory. `apply` is the only thing that changes it,
 * live and at recovery alike; what it changes can be taken back through `undo`.
 *
 * The folded part is small and comes back from the checkpoint; the log part (events,
 * deliveries, attempts) comes back from the journal. While facts that the checkpoint
 * covers are read again, only the log part takes them.
 */
export class State {
  readonly undo = new UndoLog();

  // Folded: kept whole in the checkpoint.
  readonly clinics = new Table<Clinic>(this.undo);
  readonly connections = new Table<ConnectionRow>(this.undo);
  readonly subscribers = new Table<SubscriberRow>(this.undo, (before, after) => {
    const isOrdered = (after?.order ?? null) !== null;
    const id = (after ?? before)?.id ?? '';
    if (isOrdered !== ((before?.order ?? null) !== null)) {
      this.due.setOrder(id, isOrdered, this.deliveries.values());
    }
  });
  readonly healths = new Table<Health>(this.undo);
  /** Subscriber id → how many deliveries it was given. */
  readonly sequences = new Table<number>(this.undo);
  readonly streams = new Table<Stream>(this.undo);
  readonly setAsides = new Table<SetAside>(this.undo);
  readonly jobs = new Table<Job>(this.undo);
  readonly tokenKeys = new Table<TokenKeyRow>(this.undo);
  /** By the id of the connection that was to come of it. */
  readonly links = new Table<LinkRow>(this.undo);
  readonly revocations = new Table<RevocationRow>(this.undo);
  /** Token id → until when it has to be remembered. */
  readonly revoked = new Table<number>(this.undo);
  readonly budget = new Table<BudgetBlock>(this.undo);
  readonly counters = new Table<number>(this.undo);
  /** Files of bodies that nothing more is written into: one that holds what was erased, or that is gone. */
  readonly bodyFiles = new Table<'toRewrite' | 'gone'>(this.undo);

  // The log: comes from the journal, and from the indexes of its closed ranges.
  readonly words = new Words();
  readonly due = new DueQueues((id) => this.deliveries.hot(id));
  readonly events: EventRows = new LogRows(this.undo, eventKind(this.words), (id) => this.words.known(id));
  readonly deliveries: DeliveryRows = new LogRows(this.undo, deliveryKind(this));
  /** Of the deliveries that are in memory. */
  readonly attempts = new Table<readonly AttemptRow[]>(this.undo);
  /** By delivery id: at most one attempt of a delivery is under way. */
  readonly openAttempts = new Table<OpenAttempt>(this.undo, (before, after) => {
    const deliveryId = (after ?? before)?.deliveryId ?? '';
    this.deliveries.touch(deliveryId);
    const delivery = after ? undefined : this.deliveries.hot(deliveryId);
    if (delivery) this.due.note(delivery);
  });
  /** By event number: when it was last listed, in seconds of this process counted from 1; 0 before. */
  readonly listed = new Column('u32');
  /** Stream → when its last completed sweep began, in the same seconds. */
  readonly sweeps = new Map<string, number>();
  /** Subscriber id → how many of its deliveries are in each state. */
  readonly counts = new Map<string, Record<Delivery['state'], number>>();

  #isFoldedCovered = false;

  /** Counts the changes of whom events are owed to. */
  get subscribersVersion(): number {
    return this.counters.get('subscribersVersion') ?? 0;
  }

  /** @param isFoldedCovered the checkpoint already holds what this fact does to the folded part. */
  apply(fact: Fact, isFoldedCovered = false): void {
    this.#isFoldedCovered = isFoldedCovered;
    switch (fact.t) {
      case 'clinic':
        this.#fold(this.clinics, fact.row.id, fact.row);
        break;
      case 'connection':
        this.#fold(this.connections, fact.row.id, fact.row);
        break;
      case 'connectionGone':
        this.#fold(this.connections, fact.id, undefined);
        break;
      case 'link':
        this.#useLink(fact);
        break;
      case 'revocation':
        this.#fold(this.revocations, fact.row.id, fact.row);
        break;
      case 'revocationGone':
        this.#fold(this.revocations, fact.id, undefined);
        break;
      case 'stream':
        this.#fold(this.streams, streamKey(fact.row), fact.row);
        break;
      case 'setAside':
        this.#fold(this.setAsides, `${streamKey(fact.row)}${fact.row.key}`, fact.row);
        break;
      case 'job':
        this.#fold(this.jobs, fact.row.id, fact.row);
        break;
      case 'jobGone':
        this.#fold(this.jobs, fact.id, undefined);
        break;
      case 'restored':
        this.#fold(this.counters, 'restoredFrom', fact.takenAt);
        this.#fold(this.counters, 'restoredAt', fact.restoredAt);
        break;
      case 'tokenKey':
        this.#fold(this.tokenKeys, fact.row.id, fact.row);
        break;
      case 'tokenKeyGone':
        this.#fold(this.tokenKeys, fact.id, undefined);
        break;
      case 'revoked':
        this.#fold(this.revoked, fact.jti, fact.until);
        break;
      case 'budget':
        this.#reserve(fact);
        break;
      case 'subscriber':
        this.#fold(this.subscribers, fact.row.id, fact.row);
        if (fact.health) this.#fold(this.healths, fact.row.id, { ...untriedHealth, ...fact.health });
        if (fact.bumped) this.#fold(this.counters, 'subscribersVersion', this.subscribersVersion + 1);
        break;
      case 'event':
        this.#applyEvent(fact);
        break;
      case 'owed':
        this.#applyOwed(fact);
        break;
      case 'withheld':
        this.events.need(fact.of.map((id) => eventKey(fact.clinic, id)));
        for (const id of fact.of) this.#withhold(eventKey(fact.clinic, id));
        break;
      case 'claimed':
        this.deliveries.need(fact.of.map(([deliveryId]) => deliveryId));
        for (const [deliveryId, number, revision, isProbe] of fact.of) {
          const open = { deliveryId, number, revision, startedAt: fact.at, isProbe: isProbe === 1 };
          this.openAttempts.put(deliveryId, open);
        }
        break;
      case 'unclaimed':
        for (const id of fact.of) this.#endOpenAttempt(id);
        break;
      case 'attempt':
        this.#applyAttempt(fact);
        break;
      case 'round':
        this.deliveries.need(fact.of);
        for (const id of fact.of) this.#change(id, (delivery) => startRound(delivery, fact.at));
        break;
      case 'ended':
        this.deliveries.need(fact.of);
        for (const id of fact.of) {
          this.#change(id, (delivery) => endUnsent(delivery, fact.reason, fact.at));
          // A skipped one in flight is left to its result.
          if (fact.reason !== 'skipped') this.#endOpenAttempt(id);
        }
        break;
      case 'deliveriesGone':
        for (const number of numbersIn(fact.of)) this.deliveries.remove(number);
        break;
      case 'eventsGone':
        for (const number of numbersIn(fact.of)) this.events.remove(number);
        break;
      case 'pushed':
        this.#push(fact);
        break;
      case 'bodyMoved':
        this.#moveBody(fact);
        break;
      case 'bodyKept':
        this.#keepBody(fact);
        break;
      case 'excerptMoved':
        this.#moveExcerpt(fact);
        break;
      case 'erased':
        this.#erase(fact);
        break;
      case 'fileGone':
        this.#fold(this.bodyFiles, fact.file, 'gone');
        break;
      case 'bodiesGone':
        this.#fold(this.counters, 'bodiesFrom', fact.before);
        break;
      case 'retained':
        this.#fold(this.counters, 'retainedAt', fact.trustedAt);
        this.#fold(this.counters, 'doubtedMs', fact.doubtedMs);
        for (const id of fact.jobs ?? []) this.#fold(this.jobs, id, undefined);
        for (const jti of fact.tokens ?? []) this.#fold(this.revoked, jti, undefined);
        break;
      default:
        throw unknownFact(fact);
    }
  }

  healthOf(subscriberId: string): Health {
    return this.healths.get(subscriberId) ?? untriedHealth;
  }

  #applyEvent({ row, at, to }: EventFact): void {
    const deliveries = [this.deliveries.end, to.length] as const;
    const isSeenAgain = this.events.numbersOf(row.id).length > 0;
    this.events.put(eventKey(row.clinicId, row.id), { ...row, recordedAt: at, deliveries, isSeenAgain });
    for (const [subscriberId, sequence] of to) {
      const delivery = newDelivery(
        { eventId: row.id, subscriberId, clinicId: row.clinicId, eventType: row.type, sequence },
        at,
      );
      this.deliveries.put(delivery.id, delivery);
      this.#fold(this.sequences, subscriberId, sequence);
    }
  }

  #withhold(key: string): void {
    const row = this.events.get(key);
    if (row) this.events.put(key, { ...row, withheld: 'imported' });
  }

  #applyOwed({ subscriber: subscriberId, at, of }: OwedFact): void {
    for (const [clinicId, eventId, eventType, sequence] of of) {
      const owed = { eventId, subscriberId, clinicId, eventType, sequence, isBackfilled: true } as const;
      const delivery = newDelivery(owed, at);
      this.deliveries.put(delivery.id, delivery);
      this.#fold(this.sequences, subscriberId, sequence);
    }
  }

  /** `null` when the event is not known, or not any more. */
  eventNumberOf({ clinicId, eventId }: Pick<Delivery, 'clinicId' | 'eventId'>): number | null {
    return this.events.numberOf(eventKey(clinicId, eventId));
  }

  #applyAttempt(fact: AttemptFact): void {
    this.deliveries.need([fact.delivery]);
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
    this.attempts.put(fact.delivery, [...(this.attempts.get(fact.delivery) ?? []), row]);
    this.deliveries.touch(fact.delivery);
    if (!fact.after) return;
    const { after } = fact;
    this.#endOpenAttempt(fact.delivery);
    let subscriberId: string | undefined;
    this.#change(fact.delivery, (delivery) => {
      subscriberId = delivery.subscriberId;
      return {
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
      };
    });
    if (subscriberId !== undefined) this.#applyHealth(subscriberId, fact);
  }

  #applyHealth(subscriberId: string, fact: AttemptFact): void {
    const endedAt = fact.at + fact.ms;
    if (fact.health) this.#fold(this.healths, subscriberId, { ...untriedHealth, ...fact.health });
    else if (fact.outcome.kind === 'accepted' && this.healths.has(subscriberId)) {
      this.#fold(this.healths, subscriberId, { ...this.healthOf(subscriberId), lastSuccessAt: endedAt });
    }
    const row = fact.pause && this.subscribers.get(subscriberId);
    if (row && fact.pause) {
      const pauseReasons = [...new Set([...row.pauseReasons, fact.pause])];
      const pausedAt = row.pausedAt ?? endedAt;
      this.#fold(this.subscribers, subscriberId, { ...row, pauseReasons, pausedAt });
    }
  }

  /** Blocks are taken in the order in which they end, but for a clock that was stepped: those end a little late. */
  #reserve({ at, count, countsUntil }: BudgetBlock): void {
    for (const [key, block] of this.budget.entries()) {
      if (block.countsUntil > at) break;
      this.#fold(this.budget, key, undefined);
    }
    const number = (this.counters.get('budgetBlocks') ?? 0) + 1;
    this.#fold(this.counters, 'budgetBlocks', number);
    this.#fold(this.budget, `block ${number}`, { at, count, countsUntil });
  }

  #useLink({ at, row }: Extract<Fact, { t: 'link' }>): void {
    for (const [id, { keptUntil }] of [...this.links.entries()]) {
      if (keptUntil <= at) this.#fold(this.links, id, undefined);
    }
    this.#fold(this.links, row.id, row);
  }

  #push({ clinic, event, push }: Extract<Fact, { t: 'pushed' }>): void {
    const key = eventKey(clinic, event);
    const row = this.events.get(key);
    if (row) this.events.put(key, { ...row, push });
  }

  #moveBody({ clinic, event, body }: Extract<Fact, { t: 'bodyMoved' }>): void {
    const key = eventKey(clinic, event);
    const row = this.events.get(key);
    if (row && !row.isErased) this.events.put(key, { ...row, body });
  }

  /** It is sealed for this clinic's own record, whoever's it was before. */
  #keepBody({ clinic, event, body }: Extract<Fact, { t: 'bodyKept' }>): void {
    const key = eventKey(clinic, event);
    const before = this.events.get(key);
    if (!before || before.isErased) return;
    const { bodyOf: _bodyOf, ...row } = before;
    this.events.put(key, { ...row, body });
  }

  #erase({ events, deliveries, files }: ErasedFact): void {
    const keys = events.map(([clinicId, eventId]) => eventKey(clinicId, eventId));
    this.events.need(keys);
    this.deliveries.need(deliveries);
    for (const key of keys) {
      const before = this.events.get(key);
      if (!before) continue;
      const { bodyOf: _bodyOf, ...row } = before;
      this.events.put(key, { ...row, body: null, isErased: true });
    }
    for (const id of deliveries) {
      const rows = this.attempts.get(id);
      if (!rows?.some(({ excerpt }) => excerpt !== null)) continue;
      this.attempts.put(
        id,
        rows.map((row) => ({ ...row, excerpt: null })),
      );
      this.deliveries.touch(id);
    }
    for (const file of files) this.#fold(this.bodyFiles, file, 'toRewrite');
  }

  #moveExcerpt({ delivery, from, excerpt }: Extract<Fact, { t: 'excerptMoved' }>): void {
    this.deliveries.need([delivery]);
    const rows = this.attempts.get(delivery);
    if (!rows) return;
    const isMoved = (row: AttemptRow) => row.excerpt?.file === from.file && row.excerpt.at === from.at;
    this.attempts.put(
      delivery,
      rows.map((row) => (isMoved(row) ? { ...row, excerpt } : row)),
    );
    this.deliveries.touch(delivery);
  }

  #endOpenAttempt(deliveryId: string): void {
    if (this.openAttempts.has(deliveryId)) this.openAttempts.put(deliveryId, undefined);
  }

  #change(deliveryId: string, change: (delivery: Delivery) => Delivery): void {
    const delivery = this.deliveries.get(deliveryId);
    if (delivery) this.deliveries.put(deliveryId, change(delivery));
  }

  #fold<Row>(table: Table<Row>, key: string, row: Row | undefined): void {
    if (!this.#isFoldedCovered) table.put(key, row);
  }

  /** Counts the deliveries that came out of indexes. */
  countLoaded(): void {
    const { columns, end } = this.deliveries;
    this.counts.clear();
    for (let number = 0; number < end; number++) {
      if (!this.deliveries.isThere(number)) continue;
      const state = stateIn(columns.flags.get(number));
      this.count(this.words.text(columns.subscriber.get(number)), state, 1);
    }
  }

  countRemoved(number: number, by: 1 | -1): void {
    const { subscriber, flags } = this.deliveries.columns;
    this.count(this.words.text(subscriber.get(number)), stateIn(flags.get(number)), by);
  }

  /** Whether the file of a body or excerpt was taken away: its days were over, or what is kept of it lies elsewhere. */
  isExpired(file: string): boolean {
    if (file === '') return false;
    return dayNumber(file) < (this.counters.get('bodiesFrom') ?? 0) || this.bodyFiles.get(file) === 'gone';
  }

  count(subscriberId: string, state: Delivery['state'], by: 1 | -1): void {
    let counts = this.counts.get(subscriberId);
    if (!counts) {
      counts = { pending: 0, delivered: 0, failed: 0, cancelled: 0 };
      this.counts.set(subscriberId, counts);
    }
    counts[state] += by;
  }
}

/** A later version may record what this one knows nothing of; leaving it out would be a guess. */
function unknownFact(fact: never): StoreCorrupt {
  const { t } = fact as { t: unknown };
  return new StoreCorrupt('journal_newer', `The journal holds what this version does not know: "${t}".`, {
    hint: 'A newer version of the relay wrote it: start that version again.',
  });
}

/** The days since 1970 of the day that a file's name begins with. */
export function dayNumber(file: string): number {
  return Math.floor(Date.parse(file.slice(0, 10)) / 86_400_000);
}

function* numbersIn(runs: readonly Run[]): Generator<number> {
  for (const [from, to] of runs) for (let number = from; number < to; number++) yield number;
}

export function streamKey({ clinicId, category }: { clinicId: string; category: string }): string {
  return `${clinicId.length}:${clinicId}${category}:`;
}
