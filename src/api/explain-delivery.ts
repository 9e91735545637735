import { type Outcome, outcomeLabel } from '../domain/attempt.ts';
import { paceOf } from '../domain/breaker.ts';
import { type Delivery, shownState } from '../domain/delivery.ts';
import { type PauseReason, stateOfSubscriber } from '../domain/subscriber.ts';
import { because, type Explanation, instant, type Recipient } from './explanation.ts';

export interface DeliveryFacts {
  readonly delivery: Delivery;
  readonly subscriber: Recipient;
  /** When the last attempt began; `null` before the first. */
  readonly lastAttemptAt: number | null;
  /** The delivery that has to end before this one is sent; `null` when there is none. */
  readonly waitsBehind: string | null;
  /** Nothing is sent. */
  readonly isShadow: boolean;
  readonly now: number;
}

/** Why a delivery has not arrived yet, or that it has. */
export function explainDelivery(facts: DeliveryFacts): Explanation {
  const { delivery, subscriber, lastAttemptAt, waitsBehind, isShadow } = facts;
  const last = lastOutcome(delivery, lastAttemptAt);
  switch (shownState(delivery, stateOfSubscriber(subscriber))) {
    case 'delivered':
      return because(
        'delivered',
        `Delivered at ${instant(delivery.endedAt)} by attempt ${delivery.attempts}.`,
      );
    case 'cancelled':
      return because(
        'cancelled',
        `Cancelled at ${instant(delivery.endedAt)}, because its subscriber was deleted; it is never sent again.`,
      );
    case 'failed':
      return because('failed', `${failureOf(delivery, last)} ${remedyOf(delivery)}`);
    case 'held': {
      const tried = last === null ? '' : ` Last attempt: ${last}.`;
      return because('held', `${holdOf(subscriber)}${tried}${askOf(delivery)}`);
    }
    case 'pending':
      if (isShadow) return because('shadow', inShadow);
      return waitsBehind === null ? pending(facts, last) : inOrder(subscriber, waitsBehind);
  }
}

const inShadow =
  'Waiting: the relay is in shadow mode and sends nothing. It is sent once `source.shadow` is false and the relay was started again.';

function inOrder({ name }: Recipient, ahead: string): Explanation {
  return because(
    'waiting',
    `Waiting behind delivery ${ahead}, an earlier one of the same clinic: ${name} is sent each clinic's events in order. \`relay deliveries explain ${ahead}\` says what that one waits for.`,
  );
}

function pending({ delivery, subscriber, now }: DeliveryFacts, last: string | null): Explanation {
  const next = delivery.attempts + 1;
  const after = last === null ? '' : `, after ${last}`;
  if (delivery.dueAt === null || delivery.dueAt <= now) {
    return because(
      'due',
      `Attempt ${next} is due since ${instant(delivery.dueAt)}${after}; it is under way, or waits for ${turnOf(subscriber)}.${askOf(delivery)}`,
    );
  }
  const at = instant(delivery.dueAt);
  return because('waiting', `Waiting for attempt ${next} at ${at}${after}.${askOf(delivery)}`);
}

/** What a delivery that is due is waiting for, if it is not being sent. */
function turnOf({ name, health, requestsPerSecond }: Recipient): string {
  const pace = paceOf(health, requestsPerSecond);
  if (pace === null) return 'a free slot';
  const rate = `its turn: ${name} is sent at most ${pace} ${pace === 1 ? 'request' : 'requests'} a second`;
  return pace === requestsPerSecond
    ? `${rate}, as its requestsPerSecond says`
    : `${rate} until it takes one, for it fails one delivery after another`;
}

function lastOutcome({ lastOutcome: outcome }: Delivery, at: number | null): string | null {
  if (outcome === null) return null;
  return `${outcomeLabel(outcome)}${at === null ? '' : ` at ${instant(at)}`}`;
}

function failureOf({ endReason, endedAt, attempts }: Delivery, last: string | null): string {
  const at = instant(endedAt);
  switch (endReason) {
    case 'skipped':
      return `Skipped at ${at}, when its subscriber was resumed without its backlog.`;
    case 'bodyLost':
      return `Failed at ${at}, because the stored event cannot be read any more.`;
    case 'erased':
      return `Ended at ${at}, when its event was erased.`;
    default:
      return `Failed at ${at} after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}; the last one: ${last ?? 'none'}.`;
  }
}

/** What can be done about a delivery that failed. */
function remedyOf({ id, eventId, endReason, lastOutcome }: Delivery): string {
  if (endReason === 'erased') return 'There is nothing to send any more.';
  if (endReason === 'bodyLost') {
    return `\`relay replay ${id}\` fetches event ${eventId} from Fullscript again, if it is no older than 30 days; otherwise restore the data folder's \`bodies\` from a backup.`;
  }
  const repaired = challengeAsk(lastOutcome);
  return `${repaired === null ? '' : `${repaired} `}\`relay replay ${id}\` starts a new round.`;
}

/** What the receiver has to change before another attempt can succeed; empty where only it can tell. */
function askOf({ lastOutcome }: Delivery): string {
  const ask = challengeAsk(lastOutcome);
  return ask === null ? '' : ` ${ask}`;
}

function challengeAsk(outcome: Outcome | null): string | null {
  if (outcome?.kind !== 'rejected' || outcome.because !== 'challenge') return null;
  return 'To acknowledge, the receiver has to answer 200 or 201 with the JSON body {"challenge":"…"} that holds its challenge token.';
}

const pauses: Readonly<Record<PauseReason, string>> = {
  person: 'somebody paused it',
  gone: 'it answered 410 Gone',
  address: 'its address is not one the relay may dial (change its URL or `delivery.allow` first)',
  outage: 'it failed for five days',
  handshake: 'its challenge token has not been answered yet',
  removed: 'it is no longer in the configuration file (its return lifts that)',
  restored: 'the store was restored from a backup',
};

function holdOf({ id, name, pauseReasons, pausedAt, health }: Recipient): string {
  const resume = `\`relay subscribers resume ${id}\``;
  if (pauseReasons.length === 0) {
    const since = health.firstFailureAt === null ? '' : ` since ${instant(health.firstFailureAt)}`;
    const probe =
      health.nextProbeAt === null ? '' : ` The next probe is due at ${instant(health.nextProbeAt)}.`;
    return `Held, because ${name} has been failing${since}; the first success lifts it, or ${resume}.${probe}`;
  }
  const why = pauseReasons.map((reason) => pauses[reason]).join('; ');
  const held = `Held, because ${name} is paused since ${instant(pausedAt)}: ${why}.`;
  const isOnlyRemoved = pauseReasons.every((reason) => reason === 'removed');
  if (isOnlyRemoved) return held;
  const does = pauseReasons.includes('handshake') ? 'asks for it again' : 'lifts it';
  return `${held} ${resume} ${does}.`;
}
