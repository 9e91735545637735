import type { StreamKey } from '../../domain/clinic.ts';
import type { NewEvent } from './polls.ts';

export interface PushStore {
  /**
   * Records an event that Fullscript's own webhook brought, with the deliveries that
   * follow from it, and notes which way it came first; needs no claim.
   *
   * @returns `again` when a webhook had brought it before: nothing changes then;
   *   `subscribersChanged` as `recordEvents` does.
   */
  recordPushed(ask: {
    readonly stream: StreamKey;
    readonly event: NewEvent;
    readonly subscribersVersion: number;
  }): Promise<RecordedPush | { readonly kind: 'subscribersChanged' }>;
  /** By UTC day of their recording, the newest first: how the events of live streams came. */
  pushDays(since: number): Promise<readonly PushDay[]>;
}

export interface RecordedPush {
  /** `later`: a poll had found it. */
  readonly kind: 'first' | 'later' | 'again';
  readonly deliveries: number;
  /** Its text is another than the one that the poll retrieved. */
  readonly differs: boolean;
}

/** Events that were recorded on a day, those of the past left out, by the way that they came. */
export interface PushDay {
  /** `yyyy-mm-dd`. */
  readonly day: string;
  readonly events: number;
  readonly pushedFirst: number;
  /** A poll found them first, and a webhook came, too. */
  readonly polledFirst: number;
  /** No webhook has brought them. */
  readonly neverPushed: number;
  /** The webhook's text was another than the one that the poll had retrieved. */
  readonly differing: number;
}
