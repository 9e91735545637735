import { createHmac } from 'node:crypto';
import type { Subscriber } from '../../src/domain/subscriber.ts';
import type { StoredEvent } from '../../src/sandbox/event-log.ts';
import type { Random } from '../../src/sandbox/random.ts';
import type { History } from './history.ts';

export const moods = [
  'fine',
  'fine',
  'slow',
  'failing',
  'flaky',
  'hanging',
  'losingAnswers',
  'refusing',
  'redirecting',
  'askingForAir',
  'gone',
  'forgetful',
] as const;

export type Mood = (typeof moods)[number];

export interface Request {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** What becomes of a request: an answer, or what the relay sees in its place. */
export type Reaction =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
      readonly afterMs: number;
    }
  | { readonly kind: 'lost' | 'refused' }
  | { readonly kind: 'silence' };

export interface Receipt {
  readonly deliveryId: string;
  readonly attempt: number;
  readonly sequence: number;
  readonly eventId: string;
  readonly isReplay: boolean;
  /** It answered with a success, whether or not that arrived. */
  readonly isAccepted: boolean;
}

/** A subscriber's own side: checks what it is sent as a careful developer would, and remembers all of it. */
export class Endpoint {
  readonly receipts: Receipt[] = [];
  mood: Mood = 'fine';
  /** Every secret it was ever given: a rotation may cross a request under way. */
  readonly secrets: string[];
  /** What it was promised. */
  readonly order: Subscriber['order'];
  readonly #subscriber: Pick<Subscriber, 'id' | 'profile' | 'envelope' | 'challengeToken'>;
  readonly #history: History;
  readonly #random: Random;
  readonly #eventsOf: (eventId: string) => readonly StoredEvent[];
  readonly #seen = new Map<string, { body: string; sequence: number; attempt: number }>();

  constructor(
    subscriber: Subscriber,
    world: {
      history: History;
      random: Random;
      eventsOf: (eventId: string) => readonly StoredEvent[];
    },
  ) {
    this.#subscriber = subscriber;
    this.secrets = subscriber.secrets.map(({ value }) => value);
    this.order = subscriber.order;
    this.#history = world.history;
    this.#random = world.random;
    this.#eventsOf = world.eventsOf;
  }

  receive(request: Request, sentAtWall: number): Reaction {
    if (this.mood === 'refusing') return { kind: 'refused' };
    const receipt = this.#read(request, sentAtWall);
    const reaction = this.#react();
    const isAccepted =
      (reaction.kind === 'answer' && reaction.status < 300 && !this.#forgetsChallenge(reaction.body)) ||
      reaction.kind === 'lost';
    this.receipts.push({ ...receipt, isAccepted });
    this.#history.note('received', this.#subscriber.id, receipt.deliveryId, receipt.attempt, reaction.kind);
    return reaction;
  }

  #forgetsChallenge(body: string): boolean {
    return this.#subscriber.challengeToken !== null && !body.includes('challenge');
  }

  #react(): Reaction {
    const random = this.#random;
    const { challengeToken } = this.#subscriber;
    const success = (afterMs: number, body?: string): Reaction => ({
      kind: 'answer',
      status: 200,
      headers: {},
      body: body ?? (challengeToken === null ? 'ok' : JSON.stringify({ challenge: challengeToken })),
      afterMs,
    });
    const failure = (status: number, headers: Readonly<Record<string, string>> = {}): Reaction => ({
      kind: 'answer',
      status,
      headers,
      body: 'no',
      afterMs: random.int(1, 50),
    });
    switch (this.mood) {
      case 'fine':
        return success(random.int(1, 30));
      case 'slow':
        return success(random.int(1_000, 14_000));
      case 'failing':
        return failure(random.pick([500, 502, 503, 400, 401, 404]));
      case 'flaky':
        return random.next() < 0.5 ? success(random.int(1, 100)) : failure(500);
      case 'hanging':
        return random.next() < 0.7 ? { kind: 'silence' } : success(random.int(14_000, 20_000));
      case 'losingAnswers':
        return random.next() < 0.6 ? { kind: 'lost' } : success(random.int(1, 30));
      case 'redirecting':
        return failure(307, { location: 'http://elsewhere.sim/' });
      case 'askingForAir':
        return failure(random.pick([429, 503]), { 'retry-after': String(random.int(1, 1_800)) });
      case 'gone':
        return random.next() < 0.3 ? failure(410) : success(random.int(1, 30));
      case 'forgetful':
        return success(random.int(1, 30), 'thanks');
      case 'refusing':
        return { kind: 'refused' };
    }
  }

  /** Anything that a subscriber could complain of is a violation. */
  #read({ headers, body }: Request, sentAtWall: number): Omit<Receipt, 'isAccepted'> {
    const { id, profile, envelope } = this.#subscriber;
    const text = body.toString();
    const deliveryId = headers['relay-delivery-id'] ?? '';
    const attempt = Number(headers['relay-attempt']);
    const sequence = Number(headers['relay-sequence']);
    const parsed = JSON.parse(text);
    const event = profile === 'standard' ? parsed : (parsed.event ?? parsed.event_payload.event);
    const eventId: string = event.id;
    const complain = (what: string) =>
      this.#history.violate('I3 ids and bytes are stable', `${id}, ${deliveryId}#${attempt}: ${what}`);

    const texts = this.#eventsOf(eventId).map((each) => wrapped(each.text, profile, envelope));
    if (!texts.includes(text)) complain('the body is not what the vendor said');
    if (!this.#isSigned(headers, body, sentAtWall)) complain('the signature is not valid');
    const before = this.#seen.get(deliveryId);
    if (before && before.body !== text) complain('the body differs from an earlier attempt');
    if (before && before.sequence !== sequence) complain('the sequence differs from an earlier attempt');
    if (before && attempt <= before.attempt) complain(`the attempt number came after ${before.attempt}`);
    this.#seen.set(deliveryId, { body: text, sequence, attempt });
    return { deliveryId, attempt, sequence, eventId, isReplay: headers['relay-replay'] !== undefined };
  }

  #isSigned(headers: Readonly<Record<string, string>>, body: Buffer, sentAtWall: number): boolean {
    const seconds = Math.floor(sentAtWall / 1000);
    const isFresh = (stated: number) => Math.abs(stated - seconds) <= 1;
    if (this.#subscriber.profile === 'standard') {
      const { 'webhook-id': id, 'webhook-timestamp': stated, 'webhook-signature': given = '' } = headers;
      if (id !== headers['relay-delivery-id'] || !isFresh(Number(stated))) return false;
      return this.secrets.some((secret) => {
        const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
        const mac = createHmac('sha256', key).update(`${id}.${stated}.`).update(body).digest('base64');
        return given.split(' ').includes(`v1,${mac}`);
      });
    }
    const [, stated = '', given] =
      /^t=(\d+),v1=([0-9a-f]{64})$/.exec(headers['fullscript-signature'] ?? '') ?? [];
    if (!isFresh(Number(stated))) return false;
    return this.secrets.some(
      (secret) => createHmac('sha256', secret).update(`${stated}.`).update(body).digest('hex') === given,
    );
  }
}

function wrapped(text: string, profile: Subscriber['profile'], envelope: Subscriber['envelope']): string {
  if (profile === 'standard') return text;
  if (envelope === 'event') return `{"event":${text}}`;
  if (envelope === 'event_payload') return `{"event_payload":{"event":${text}}}`;
  return `{"event":${text},"event_payload":{"event":${text}}}`;
}
