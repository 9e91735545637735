import {
  alarmingLatenessMs,
  byClinic,
  type Clinic,
  type Connection,
  listedForMs,
  type Stream,
} from '../domain/clinic.ts';
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
  readonly overlapDays: number;
}

const dayMs = 86_400_000;
/** With so few left before the vendor forgets, it is told again. */
const alarmingDays = [0, 1, 3, 7];
/** A gap is noticed when the stream is read again, 30 days behind its end, and told for a day. */
const gapToldMs = 31 * dayMs;

/** What is wrong at the moment, each by a key that stays its own as long as it holds. */
export function conditionsOf(standing: Standing): ReadonlyMap<string, OperationalEvent> {
  return new Map([
    ...ofSubscribers(standing),
    ...ofConnections(standing),
    ...ofStreams(standing),
    ...ofGaps(standing),
    ...ofLateness(standing),
  ]);
}

type Condition = readonly [key: string, event: OperationalEvent];

function ofSubscribers({ subscribers }: Standing): readonly Condition[] {
  return subscribers.flatMap((subscriber): readonly Condition[] => {
    const { id: subscriberId, name, health, pauseReasons: reasons, pausedAt } = subscriber;
    const key = `subscriber ${subscriberId} `;
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

function ofConnections({ clinics, connections, streams, now }: Standing): readonly Condition[] {
  const removed = removedIn(clinics);
  const connectionsOf = byClinic(connections);
  const streamsOf = byClinic(streams);
  return connections
    .filter(({ state, clinicId }) => state === 'needsReconnect' && !removed.has(clinicId ?? ''))
    .map(({ id: connectionId, name, clinicId, stateReason }): Condition => {
      const hasSpare = (connectionsOf.get(clinicId ?? '') ?? []).some(({ state }) => state === 'working');
      const reason = stateReason ?? 'its access ended';
      const lefts = (streamsOf.get(clinicId ?? '') ?? [])
        .filter(({ isOff }) => !isOff)
        .map((stream) => Math.floor(listedForMs(stream, now) / dayMs));
      const daysLeft = lefts.length === 0 ? null : Math.min(...lefts);
      const data = { connectionId, name, clinicId, reason, hasSpare, daysLeft };
      return [`connection ${connectionId}`, { type: 'relay.clinic.needs_reconnect', data }];
    });
}

/**
 * One for each clinic, however many of its categories are behind; another one when few
 * days are left. A person who paused a clinic hears of it only then.
 */
function ofStreams({ clinics, streams, now, behindAfterMs }: Standing): readonly Condition[] {
  const removed = removedIn(clinics);
  const known = new Map(clinics.filter(({ id }) => !removed.has(id)).map((clinic) => [clinic.id, clinic]));
  const behind = new Map<Clinic, Stream[]>();
  for (const stream of streams) {
    const { clinicId, isOff, polledAt, startAt } = stream;
    const clinic = known.get(clinicId);
    if (isOff || clinic === undefined) continue;
    // A start may lie long before its clinic was connected.
    const readAt = polledAt ?? Math.max(startAt, clinic.createdAt);
    if (now - readAt < behindAfterMs) continue;
    behind.set(clinic, [...(behind.get(clinic) ?? []), stream]);
  }
  return [...behind].flatMap(([{ id: clinicId, name, isPaused }, late]): readonly Condition[] => {
    const daysLeft = Math.floor(Math.min(...late.map((stream) => listedForMs(stream, now))) / dayMs);
    const alarm = alarmingDays.find((days) => daysLeft <= days);
    if (isPaused && alarm === undefined) return [];
    const readAts = late.map(({ polledAt }) => polledAt);
    const data = {
      clinicId,
      name,
      categories: late.map(({ category }) => category),
      readAt: readAts.includes(null) ? null : instant(Math.min(...readAts.map(Number))),
      daysLeft,
    };
    return [[`clinic ${clinicId} ${alarm ?? ''}`, { type: 'relay.stream.behind', data }]];
  });
}

function ofGaps({ clinics, streams, now }: Standing): readonly Condition[] {
  const names = new Map(clinics.map(({ id, name }) => [id, name]));
  return streams.flatMap(({ clinicId, category, gap }): readonly Condition[] => {
    if (gap === undefined || now - gap.until >= gapToldMs) return [];
    const [from, until] = [gap.from, gap.until].map((at) => new Date(at).toISOString()) as [string, string];
    const data = { clinicId, name: names.get(clinicId) ?? clinicId, category, from, until };
    return [[`gap ${clinicId} ${category} ${until}`, { type: 'relay.stream.gap', data }]];
  });
}

/** Told once for as long as it is on record: 30 days. */
function ofLateness({ clinics, streams, overlapDays }: Standing): readonly Condition[] {
  const removed = removedIn(clinics);
  const names = new Map(clinics.map(({ id, name }) => [id, name]));
  return streams.flatMap(({ clinicId, category, lateness }): readonly Condition[] => {
    if (lateness === undefined || lateness.ms < alarmingLatenessMs(overlapDays)) return [];
    if (removed.has(clinicId)) return [];
    const lateHours = Math.round(lateness.ms / 3_600_000);
    const data = { clinicId, name: names.get(clinicId) ?? clinicId, category, lateHours, overlapDays };
    return [[`late ${clinicId} ${category}`, { type: 'relay.stream.late', data }]];
  });
}

function removedIn(clinics: readonly Clinic[]): ReadonlySet<string> {
  return new Set(clinics.filter(({ isRemoved }) => isRemoved).map(({ id }) => id));
}

function instant(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
