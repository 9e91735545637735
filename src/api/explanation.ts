import type { Subscriber } from '../domain/subscriber.ts';

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

/** What is looked at of the subscriber that waits. */
export type Recipient = Pick<
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

/** One line, whatever stands in the names. */
export function because(word: Explanation['because'], explanation: string): Explanation {
  // Ids and types are the vendor's, and any text.
  return { because: word, explanation: explanation.replace(/\p{C}+/gu, ' ') };
}

export function instant(at: number | null): string {
  return at === null ? 'an unknown moment' : new Date(at).toISOString();
}
