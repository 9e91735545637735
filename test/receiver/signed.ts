import { composeAttempt, composeTest } from '../../src/wire/compose.ts';
import type { Recipient } from '../../src/wire/wire-format.ts';
import { recipient } from '../world/recipient.ts';

export const now = 1_800_000_000_000;
export const fullscriptSecret = 'relay-test-secret-0123456789abcdef';
export const standardSecret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

export const speakers = {
  fullscript: recipient({ secrets: [{ value: fullscriptSecret, expiresAt: null }] }),
  standard: recipient({ profile: 'standard', secrets: [{ value: standardSecret, expiresAt: null }] }),
} as const;

export const secretOf = { fullscript: fullscriptSecret, standard: standardSecret } as const;

export function eventText(id = 'evt_1', type = 'order.placed'): string {
  return `{"id":"${id}","type":"${type}","created_at":"2026-11-22T12:00:00Z","data":{"n":10.0,"name":"Zoë"}}`;
}

/** A request as the relay composes it. */
export function signed(
  asked: {
    readonly to?: Recipient;
    readonly event?: string;
    readonly deliveryId?: string;
    readonly sequence?: number;
    readonly round?: number;
    readonly attempt?: number;
    readonly at?: number;
  } = {},
) {
  const { to = speakers.fullscript, event = eventText(), deliveryId = 'dlv_1' } = asked;
  const { sequence = 7, round = 1, attempt = 1, at = now } = asked;
  const delivery = { id: deliveryId, round, sequence };
  const moment = { now: at, wall: at };
  return composeAttempt({ delivery, attempt, event: { body: event }, subscriber: to }, moment, 'relay/1');
}

export function signedTest(to: Recipient, at = now) {
  return composeTest(to, { id: 'test_1', eventText: eventText() }, { now: at, wall: at }, 'relay/1');
}
