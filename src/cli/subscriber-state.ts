import type { SubscriberView } from '../client/subscribers.ts';
import { inert } from './print.ts';

/** `paused (person, gone)` */
export function stateOf({ state, pauseReasons }: SubscriberView): string {
  return pauseReasons.length > 0 ? `${state} (${pauseReasons.join(', ')})` : state;
}

export function stateLine(subscriber: SubscriberView): string {
  return inert(`${subscriber.name} is ${stateOf(subscriber)}.`);
}
