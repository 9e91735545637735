import type { Clinic, Connection, Stream } from '../domain/clinic.ts';
import type { OperationalEvent } from '../domain/operational-event.ts';
import { type Subscriber, stateOfSubscriber } from '../domain/subscriber.ts';

/** What is looked at, all of it durable: a restart finds the same. */
export interface Standing {
  readonly subscribers: readonly Subscriber[];
  readonly clinics: readonly Clinic[];
  readonly connections: readonly Connection[];
  readonly streams: readonly Stream[];
  readonly now: number;
  /** A stream that was not read to its end for so long is behind. */
  readonly behindAfterMs: number;
}

/** Source: Fullscript, "List events": it lists the last 30 days. */
const vendorKeepsMs = 30 * 86_400_000;

/** What is wrong at the moment, each by a key that stays its own as long as it holds. */
export function conditionsOf(standing: Standing): ReadonlyMap<string, OperationalEvent> {
  return new Map([...ofSubscribers(standing), ...ofConnections(standing), ...ofStreams(standing)]);
}

/** The key of what is wrong with a subscriber begins so. */
export function keyOfSubscriber(subscriberId: string): string {
  return `subscriber ${subscriberId} `;
}

type Condition = readonly [key: string, event: OperationalEvent];

function ofSubscribers({ subscribers }: Standing): readonly Condition[] {
  return subscribers.flatMap((subscriber): readonly Condition[] => {
    const { id: subscriberId, name, health, pauseReasons: reasons, pausedAt } = subscriber;
    const key = keyOfSubscriber(subscriberId);
    switch (stateOfSubscriber(subscriber)) {
      case 'failing': {
        const data = { subscriberId, name, since: instant(health.firstFailureAt) };
        return [[`${key}failing`, { type: 'relay.subscriber.failing', data }]];
      }
      case 'paused': {
        // Whoever pauses one knows of it.
        if (reasons.every((reason) => reason === 'person')) return [];
        const data = { subscriberId, name, since: instant(pausedAt), reasons };
        return [[`${key}paused ${reasons.join()}`, { type: 'relay.subscriber.paused', data }]];
      }
      default:
        return [];
    }
  });
}

function ofConnections({ clinics, connections }: Standing): readonly Condition[] {
  const removed = removedIn(clinics);
  return connections
    .filter(({ state, clinicId }) => state === 'needsReconnect' && !removed.has(clinicId ?? ''))
    .map(({ id: connectionId, name, clinicId, stateReason }): Condition => {
      const hasSpare = connections.some(
        (other) => clinicId !== null && other.clinicId === clinicId && other.state === 'working',
      );
      const data = { connectionId, name, clinicId, reason: stateReason ?? 'its access ended', hasSpare };
      return [`connection ${connectionId}`, { type: 'relay.clinic.needs_reconnect', data }];
    });
}

/** One for each clinic, however many of its categories are behind. */
function ofStreams({ clinics, streams, now, behindAfterMs }: Standing): readonly Condition[] {
  const polled = new Map(
    clinics.filter(({ isPaused, isRemoved }) => !isPaused && !isRemoved).map(({ id, name }) => [id, name]),
  );
  const behind = new Map<string, Stream[]>();
  for (const stream of streams) {
    const { clinicId, isOff, polledAt, startAt } = stream;
    if (isOff || !polled.has(clinicId) || now - (polledAt ?? startAt) < behindAfterMs) continue;
    behind.set(clinicId, [...(behind.get(clinicId) ?? []), stream]);
  }
  return [...behind].map(([clinicId, late]): Condition => {
    const readTo = Math.min(...late.map(({ cursor, startAt }) => cursor ?? startAt));
    const readAts = late.map(({ polledAt }) => polledAt);
    const data = {
      clinicId,
      name: polled.get(clinicId) ?? clinicId,
      categories: late.map(({ category }) => category),
      readAt: readAts.includes(null) ? null : instant(Math.min(...readAts.map(Number))),
      daysLeft: Math.max(0, Math.floor((readTo + vendorKeepsMs - now) / 86_400_000)),
    };
    return [`clinic ${clinicId}`, { type: 'relay.stream.behind', data }];
  });
}

function removedIn(clinics: readonly Clinic[]): ReadonlySet<string> {
  return new Set(clinics.filter(({ isRemoved }) => isRemoved).map(({ id }) => id));
}

function instant(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
