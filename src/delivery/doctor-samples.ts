import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { documentedEventTypes, matchesEventType } from '../domain/event.ts';
import { makeSecret, signatureKindOf } from '../domain/signing-secret.ts';
import type { Subscriber } from '../domain/subscriber.ts';
import { makeTokenKey, type TokenKey } from '../domain/token-key.ts';
import { composeTest, type SignedRequest } from '../wire/compose.ts';
import type { Recipient } from '../wire/wire-format.ts';

/** The text of an invented event. */
export type SampleEvent = (eventType: string, createdAt: number) => string;

export interface Sample {
  readonly id: string;
  readonly eventText: string;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** More than the limit that common body parsers begin with, which is 100 kB. */
const largeBodyBytes = 256 * 1024;

export interface SamplesDependencies {
  readonly clock: Clock;
  readonly userAgent: string;
  readonly sampleEvent: SampleEvent;
  readonly tokenKey: TokenKey | null;
}

/** What the doctor sends: each request signed as any other, except where its point is that it is not. */
export class Samples {
  readonly #recipient: Recipient;
  readonly #clock: Clock;
  readonly #userAgent: string;
  readonly #sampleEvent: SampleEvent;
  readonly #type: string;
  readonly #tokenKey: TokenKey | null;

  constructor(
    subscriber: Recipient & Pick<Subscriber, 'eventTypes'>,
    { clock, userAgent, sampleEvent, tokenKey }: SamplesDependencies,
  ) {
    this.#recipient = subscriber;
    this.#clock = clock;
    this.#userAgent = userAgent;
    this.#sampleEvent = sampleEvent;
    this.#tokenKey = tokenKey;
    this.#type = wantedType(subscriber.eventTypes);
  }

  event(type = this.#type, ageMs = 0): Sample {
    return { id: `test_${randomUUID()}`, eventText: this.#sampleEvent(type, this.#clock.now() - ageMs) };
  }

  /** The newer one first. */
  reordered(): readonly [Sample, Sample] {
    return [this.event(), this.event(this.#type, minuteMs)];
  }

  large(): Sample {
    const { id, eventText } = this.event();
    return { id, eventText: `${eventText.slice(0, -1)},"padding":"${'x'.repeat(largeBodyBytes)}"}` };
  }

  /** Whoever parses it and writes it anew gets other bytes. */
  unusual(): Sample {
    const { id, eventText } = this.event();
    return { id, eventText: `{ "unusual": [1.0, 2e0, "\\u0041\\/"],${eventText.slice(1)}` };
  }

  request(sample: Sample): SignedRequest {
    return this.#composed(sample, this.#recipient, 0);
  }

  unsigned(): SignedRequest {
    const { headers, body } = this.request(this.event());
    const kept = Object.entries(headers).filter(([name]) => !name.endsWith('signature'));
    return { headers: Object.fromEntries(kept), body };
  }

  /** Right in everything but the secret and the key. */
  forged(): SignedRequest {
    const { profile, secrets: genuine } = this.#recipient;
    const secrets = [
      { value: makeSecret(profile, signatureKindOf(genuine[0]?.value ?? '')), expiresAt: null },
    ];
    const forgedKey = this.#tokenKey && { ...makeTokenKey(0, 0), id: this.#tokenKey.id };
    return this.#composed(this.event(), { ...this.#recipient, secrets }, 0, forgedKey);
  }

  /** Genuine, as somebody who recorded it could send it an hour later. */
  old(): SignedRequest {
    return this.#composed(this.event(), this.#recipient, hourMs);
  }

  #composed(sample: Sample, recipient: Recipient, ageMs: number, tokenKey = this.#tokenKey): SignedRequest {
    const moment = { now: this.#clock.now(), wall: this.#clock.wall() - ageMs };
    return composeTest(recipient, sample, moment, this.#userAgent, tokenKey);
  }
}

/** A type that the subscriber asked for; a documented one where that can be. */
function wantedType(patterns: readonly string[]): string {
  const [first = '*'] = patterns;
  const documented = documentedEventTypes.find(
    (type) => patterns.length === 0 || patterns.some((pattern) => matchesEventType(pattern, type)),
  );
  return documented ?? first.replace('*', 'sample');
}

/** A type that nobody knows and that may come all the same; `null` where the subscriber's filter lets none through. */
export function unknownType(patterns: readonly string[]): string | null {
  if (patterns.length === 0 || patterns.includes('*')) return 'relay_doctor.invented';
  const open = patterns.find((pattern) => pattern.endsWith('.*'));
  return open === undefined ? null : open.replace('*', 'relay_doctor_invented');
}
