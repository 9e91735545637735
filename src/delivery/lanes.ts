import { type Subscriber, stateOfSubscriber } from '../domain/subscriber.ts';

/** What the allotment needs to know of one subscriber's lane. */
export interface Lane {
  readonly subscriberId: string;
  /** Attempts that it may have under way at once. */
  readonly slots: number;
  readonly inFlight: number;
  readonly isSlow: boolean;
  /** It may have due deliveries; false after it was offered more slots than it had work for. */
  readonly mayHaveWork: boolean;
}

/**
 * How many attempts a subscriber may have under way: none unless it is active; one while
 * its last attempt failed or was slow, or none succeeded yet.
 */
export function slotsOf(subscriber: Subscriber, slotsPerLane: number): number {
  if (stateOfSubscriber(subscriber) !== 'active') return 0;
  return subscriber.health.isSlow ? 1 : (subscriber.concurrency ?? slotsPerLane);
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
