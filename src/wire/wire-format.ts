import type { Subscriber } from '../domain/subscriber.ts';

/**
 * How a subscriber is spoken to: what is put round an event, how the bytes are signed,
 * and which answer means that it has arrived. One for each profile.
 */
export interface WireFormat {
  /** The event's exact JSON text in this format's envelope. */
  wrap(event: string, subscriber: Recipient): string;
  /**
   * Signs exactly these bytes, for this moment.
   * @throws RelayError `signing_secret_unusable`
   */
  sign(message: Message, subscriber: Recipient, moment: Moment): HeaderFields;
  /** An answer's body is part of what `acknowledges` judges. */
  needsAnswerBody(subscriber: Recipient): boolean;
  acknowledges(subscriber: Recipient, status: number, answer: Buffer): Acknowledgement;
}

/** What the wire needs to know of a subscriber. */
export type Recipient = Pick<
  Subscriber,
  'id' | 'url' | 'jwt' | 'profile' | 'secrets' | 'challengeToken' | 'envelope' | 'thin' | 'headers'
>;

export interface Message {
  /** Stable over all attempts; holds no dot. */
  readonly id: string;
  readonly body: Buffer;
}

export interface Moment {
  /** The relay's own time, by which secrets expire. */
  readonly now: number;
  /** What other machines believe; it goes into the signature. */
  readonly wall: number;
}

export type HeaderFields = Readonly<Record<string, string>>;

/** `accepted`, or which part of the answer was not as agreed: see `Outcome`. */
export type Acknowledgement = 'accepted' | 'status' | 'challenge' | 'redirect';

/** The rule without a challenge token: any 2xx. Redirects are never followed, so they are failures. */
export function acknowledgesByStatus(status: number): Acknowledgement {
  if (status >= 200 && status < 300) return 'accepted';
  return status >= 300 && status < 400 ? 'redirect' : 'status';
}

/** As signatures carry it. */
export function unixSeconds(wall: number): number {
  return Math.floor(wall / 1000);
}
