import { type Subscriber, stateOfSubscriber } from '../domain/subscriber.ts';
import type { DeliveryClaim } from '../store/store.ts';

/** What the allotment needs to know of one subscriber's lane. */
export interface Lane {
  readonly subscriberId: string;
  /** Attempts that it may have under way at once. */
  readonly slots: number;
  readonly inFlight: number;
  readonly isSlow: boolean;
  /** It may have due deliveries; false from an offer on, until it took every slot of it. */
  readonly mayHaveWork: boolean;
}

/**
 * How many attempts a subscriber may have under way: one while its last attempt failed or
 * was slow or none succeeded yet, one probe while its breaker is open, a few more with
 * every success when it has come back, none while it is paused.
 */
export function slotsOf(subscriber: Subscriber, slotsPerLane: number): number {
  const { health, concurrency } = subscriber;
  const state = stateOfSubscriber(subscriber);
  if (state === 'paused' || state === 'deleted') return 0;
  if (state === 'failing' || health.isSlow) return 1;
  return Math.min(concurrency ?? slotsPerLane, health.slowStartSlots ?? Number.POSITIVE_INFINITY);
}

/**
 * Gives the free ones of `slots` to the lanes that may have work, one at a time in turn.
 * Lanes never get more than their own slots, all slow ones together never more than half
 * of all, and all of them together never more than is free: what is claimed can be sent
 * at once.
 *
 * @param lanes every lane; who stands first is served first.
 * @param slots of all lanes together.
 */
export function allot(lanes: readonly Lane[], slots: number): ReadonlyMap<string, number> {
  let free = slots;
  let freeForSlow = Math.max(1, Math.floor(slots / 2));
  for (const { inFlight, isSlow } of lanes) {
    free -= inFlight;
    if (isSlow) freeForSlow -= inFlight;
  }
  const given = new Map<string, number>();
  let asking = lanes.filter((lane) => lane.mayHaveWork && lane.inFlight < lane.slots);
  while (free > 0 && asking.length > 0) {
    const askAgain: Lane[] = [];
    for (const lane of asking) {
      if (free <= 0) break;
      if (lane.isSlow && freeForSlow <= 0) continue;
      const count = (given.get(lane.subscriberId) ?? 0) + 1;
      given.set(lane.subscriberId, count);
      free -= 1;
      if (lane.isSlow) freeForSlow -= 1;
      if (lane.inFlight + count < lane.slots) askAgain.push(lane);
    }
    asking = askAgain;
  }
  return given;
}

/** What a lane needs of the queue that its attempts run in. */
export interface LaneQueue {
  concurrency: number;
  readonly pending: number;
  readonly size: number;
}

export class OpenLane<Queue extends LaneQueue> implements Lane {
  readonly subscriberId: string;
  readonly queue: Queue;
  readonly #slotsPerLane: number;
  slots = 0;
  isSlow = true;
  mayHaveWork = true;
  /** It has a rate of its own, and may have more work than it is given at the moment. */
  isRated = false;
  /** Claimed attempts whose result is not on record yet, those under way included. */
  unrecorded = 0;

  constructor(subscriber: Subscriber, queue: Queue, slotsPerLane: number) {
    this.subscriberId = subscriber.id;
    this.queue = queue;
    this.#slotsPerLane = slotsPerLane;
    this.follow(subscriber);
  }

  /** A slow lane's slot stays taken until its result is on record: the next attempt depends on it. */
  get inFlight(): number {
    return this.isSlow ? this.unrecorded : this.queue.pending + this.queue.size;
  }

  follow(subscriber: Subscriber): void {
    this.slots = slotsOf(subscriber, this.#slotsPerLane);
    this.isSlow = subscriber.health.isSlow;
    this.isRated = subscriber.requestsPerSecond !== null && this.slots > 0;
    // What was claimed just before the lane slowed down is still sent at once.
    this.queue.concurrency = subscriber.concurrency ?? this.#slotsPerLane;
  }
}

/** The lanes of all subscribers, who was served least lately first. */
export class Lanes<Queue extends LaneQueue> {
  readonly #lanes = new Map<string, OpenLane<Queue>>();
  readonly #newQueue: () => Queue;
  readonly #slotsPerLane: number;

  /** @param slotsPerLane for a subscriber that sets none of its own. */
  constructor(newQueue: () => Queue, slotsPerLane: number) {
    this.#newQueue = newQueue;
    this.#slotsPerLane = slotsPerLane;
  }

  of(subscriber: Subscriber): OpenLane<Queue> {
    const known = this.#lanes.get(subscriber.id);
    if (known) return known;
    const lane = new OpenLane(subscriber, this.#newQueue(), this.#slotsPerLane);
    this.#lanes.set(subscriber.id, lane);
    return lane;
  }

  follow(subscribers: readonly Subscriber[]): void {
    for (const subscriber of subscribers) {
      const lane = this.of(subscriber);
      lane.follow(subscriber);
      if (subscriber.deletedAt !== null && lane.unrecorded === 0) this.#lanes.delete(subscriber.id);
    }
  }

  /** Something may have become due for any of them. */
  expectWork(): void {
    for (const lane of this.#lanes.values()) lane.mayHaveWork = lane.slots > 0;
  }

  /** The subscribers that may have more work than slots. */
  get pressed(): ReadonlySet<string> {
    const pressed = new Set<string>();
    for (const { subscriberId, mayHaveWork } of this.#lanes.values()) {
      if (mayHaveWork) pressed.add(subscriberId);
    }
    return pressed;
  }

  get areRated(): boolean {
    for (const { isRated } of this.#lanes.values()) if (isRated) return true;
    return false;
  }

  /**
   * See `allot`. Who is offered slots counts as having no more work until it took them all, so
   * that what is learnt of it while they are being claimed is not forgotten.
   */
  offer(slots: number): ReadonlyMap<string, number> {
    const offered = allot([...this.#lanes.values()], slots);
    for (const subscriberId of offered.keys()) {
      const lane = this.#lanes.get(subscriberId);
      if (lane) lane.mayHaveWork = false;
    }
    return offered;
  }

  /**
   * A lane that took all that it was offered may have more; those served go to the end of the row.
   *
   * @returns whether one with a rate took less: it may have more, and soon.
   */
  noteTaken(offered: ReadonlyMap<string, number>, claims: readonly DeliveryClaim[]): boolean {
    const taken = new Map<string, number>();
    for (const { subscriber } of claims) taken.set(subscriber.id, (taken.get(subscriber.id) ?? 0) + 1);
    let hasRatedLeft = false;
    for (const [subscriberId, slots] of offered) {
      const lane = this.#lanes.get(subscriberId);
      if (!lane) continue;
      if (taken.get(subscriberId) === slots) lane.mayHaveWork = true;
      else hasRatedLeft ||= lane.isRated;
      if (!taken.has(subscriberId)) continue;
      this.#lanes.delete(subscriberId);
      this.#lanes.set(subscriberId, lane);
    }
    return hasRatedLeft;
  }
}
