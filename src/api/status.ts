import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { byClinic, type SetAside, type Stream } from '../domain/clinic.ts';
import { StoreUnavailable } from '../domain/errors.ts';
import { stateOfSubscriber } from '../domain/subscriber.ts';
import type { Standstill } from '../source/budget.ts';
import type { Restoration, Store } from '../store/store.ts';
import { type AuditsDependencies, auditsOf, auditsView } from './audits.ts';
import { mayDo } from './auth.ts';
import { clinicView, daysLeft, namedClinicView, readingsOf, viewOfReading } from './clinic-view.ts';
import { visibleSubscribers } from './ownership.ts';
import { shown } from './query.ts';
import { type Route, route } from './route.ts';

export interface StatusDependencies {
  readonly store: Pick<
    Store,
    | 'clinics'
    | 'connections'
    | 'streams'
    | 'setAsides'
    | 'subscribers'
    | 'deliveryCounts'
    | 'nextDueAt'
    | 'jobs'
    | 'assertWritable'
    | 'restoration'
  >;
  readonly clock: Pick<Clock, 'now'>;
  /** Nothing is sent. */
  readonly isShadow: boolean;
  /** Those that are read. */
  readonly categories: readonly string[];
  readonly auditor: Pick<AuditsDependencies['auditor'], 'find'>;
  /** What would be enough; `null` while the budget is. */
  readonly shortfall: () => z.infer<typeof shortfallView> | null;
  /** `null` while requests may go to the vendor. */
  readonly standstill: () => Standstill | null;
  readonly connectionUse: () => z.infer<typeof connectionsView>;
}

/** More of them are counted and not shown. */
const setAsideShownMax = 100;

const streamView = z.object({
  clinicId: z.string(),
  category: z.string(),
  state: z.enum(['new', 'reading', 'failing', 'off']),
  /** What was created before is past; all that was created from then on is on record up to `readUntil`, but for a gap. */
  startAt: z.string(),
  /** Up to which moment all that Fullscript listed is proven to be on record; `null` before the first complete reading. */
  readUntil: z.string().nullable(),
  /** The last stretch that Fullscript listed no more when the stream came to be read; `null` when there was none. */
  gap: z.object({ from: z.string(), until: z.string() }).nullable(),
  /** Since the last complete reading began. */
  lagSeconds: z.number().nullable(),
  nextPollAt: z.string(),
  failedInRow: z.number(),
  newestEventAt: z.string().nullable(),
  recorded: z.number(),
  problem: z.string().nullable(),
  /** How long after its `created_at` an event was still not listed: the greatest of the last 30 days; 0 when each was in time. */
  lateSeconds: z.number(),
  /** While it does not advance: when this is 0, the vendor no longer lists what is missing. */
  daysLeft: z.number().nullable(),
});

const setAsideView = z.object({
  clinicId: z.string(),
  category: z.string(),
  eventId: z.string().nullable(),
  reason: z.enum(['noId', 'otherClinic', 'retrievalFailed', 'tooLarge']),
  detail: z.string(),
  tries: z.number(),
  isFinal: z.boolean(),
  firstTriedAt: z.string(),
  lastTriedAt: z.string(),
});

/** Why the store takes no writes at the moment, and what to do about it. */
const troubleView = z.object({
  code: z.string(),
  message: z.string(),
  hint: z.string(),
  since: z.string().nullable(),
});

/** What is held since the store came out of a backup. */
const restorationView = z.object({
  takenAt: z.string(),
  restoredAt: z.string(),
  subscribers: z.number(),
  connections: z.number(),
  openDeliveries: z.number(),
});

/** The request budget cannot poll each stream every `pollSecondsMax`. Either of these would be enough by itself. */
const shortfallView = z.object({ requestsPerFiveMinutes: z.number(), pollSecondsMax: z.number() });

/**
 * Nothing is sent to Fullscript: the requests of five minutes are used up, or it asked the app to slow down. With
 * `manyEvents` only the new events of one clinic wait: more happened there than five minutes' requests can retrieve.
 */
const standstillView = z.object({
  because: z.enum(['usedUp', 'vendorAsked', 'manyEvents']),
  clinicId: z.string().nullable(),
  since: z.string(),
  /** The next request goes then at the earliest. */
  until: z.string(),
});

/** Since the start: requests that subscribers answered, and those of them on a connection that an earlier one had left open. */
const connectionsView = z.object({ answered: z.number(), reused: z.number() });

const statusView = z.object({
  at: z.string(),
  /** Shadow mode: events are read and recorded, and nothing is sent. */
  shadow: z.boolean(),
  store: z.object({ trouble: troubleView.nullable(), restored: restorationView.nullable() }),
  clinics: z.array(z.union([clinicView, namedClinicView])),
  streams: z.array(streamView),
  /** `null` for callers without `admin`. */
  budget: z.object({ shortfall: shortfallView.nullable(), standstill: standstillView.nullable() }).nullable(),
  /** `null` for callers without `admin`. */
  connections: connectionsView.nullable(),
  setAside: z.object({ count: z.number(), items: z.array(setAsideView) }),
  /** `null` for callers without `admin`. */
  audits: auditsView.nullable(),
  deliveries: z.object({
    counts: z.record(z.string(), z.number()),
    /** Of the whole relay; `null` when nothing waits for its turn, or for callers without `admin`. */
    overdueSince: z.string().nullable(),
  }),
  subscribers: z.object({
    counts: z.record(z.string(), z.number()),
    notActive: z.array(
      z.object({ id: z.string(), name: z.string(), state: z.string(), pauseReasons: z.array(z.string()) }),
    ),
  }),
});

export function statusRoutes({
  store,
  clock,
  auditor,
  isShadow,
  categories,
  shortfall,
  standstill,
  connectionUse,
}: StatusDependencies): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/status',
      scope: 'read',
      summary: 'How far the relay is, and what needs somebody',
      answers: { status: 200, schema: statusView },
      async answer({ caller }) {
        const isAdmin = mayDo(caller, 'admin');
        const now = clock.now();
        const visible = await visibleSubscribers(store, caller);
        const ids = isAdmin ? null : visible.map(({ id }) => id);
        const [clinics, connections, streams, setAsides, counts, nextDueAt] = await Promise.all([
          store.clinics(),
          store.connections(),
          store.streams(),
          store.setAsides(),
          store.deliveryCounts(ids),
          store.nextDueAt(),
        ]);
        const readings = readingsOf(clinics, connections);
        const progress = { streams: byClinic(streams), categories, now };
        const overdueAt = isAdmin && nextDueAt !== null && nextDueAt < now ? nextDueAt : null;
        const subscribers = visible.filter(({ deletedAt }) => deletedAt === null);
        const removed = new Set(clinics.filter(({ isRemoved }) => isRemoved).map(({ id }) => id));
        const body: z.infer<typeof statusView> = {
          at: shown(now),
          shadow: isShadow,
          store: {
            trouble: await troubleOf(store),
            restored: isAdmin ? viewOfRestoration(await store.restoration()) : null,
          },
          clinics: isAdmin
            ? readings.map((reading) => viewOfReading(reading, progress))
            : readings
                .filter(({ clinic }) => clinic !== null && !clinic.isRemoved)
                .map(({ id, name }) => ({ id, name })),
          streams: streams
            .filter(({ clinicId, category }) => !removed.has(clinicId) && categories.includes(category))
            .map((stream) => viewOfStream(stream, now)),
          budget: isAdmin ? { shortfall: shortfall(), standstill: viewOfStandstill(standstill()) } : null,
          connections: isAdmin ? connectionUse() : null,
          setAside: {
            count: setAsides.length,
            items: isAdmin ? setAsides.slice(0, setAsideShownMax).map(viewOfSetAside) : [],
          },
          audits: isAdmin ? await auditsOf(store, auditor) : null,
          deliveries: { counts, overdueSince: shown(overdueAt) },
          subscribers: {
            counts: countsOf(subscribers.map(stateOfSubscriber)),
            notActive: subscribers
              .filter((subscriber) => stateOfSubscriber(subscriber) !== 'active')
              .map((subscriber) => ({
                id: subscriber.id,
                name: subscriber.name,
                state: stateOfSubscriber(subscriber),
                pauseReasons: [...subscriber.pauseReasons],
              })),
          },
        };
        return { body };
      },
    }),
  ];
}

function viewOfRestoration(restoration: Restoration | null): z.infer<typeof restorationView> | null {
  if (restoration === null) return null;
  const { takenAt, restoredAt, ...counts } = restoration;
  return { takenAt: shown(takenAt), restoredAt: shown(restoredAt), ...counts };
}

function viewOfStandstill(standstill: Standstill | null): z.infer<typeof standstillView> | null {
  if (standstill === null) return null;
  const { since, until, ...why } = standstill;
  return { ...why, since: shown(since), until: shown(until) };
}

async function troubleOf(store: Pick<Store, 'assertWritable'>): Promise<z.infer<typeof troubleView> | null> {
  try {
    await store.assertWritable();
    return null;
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error;
    const { code, message, hint, since } = error;
    return { code, message, hint, since: shown(since) };
  }
}

function viewOfStream(stream: Stream, now: number): z.infer<typeof streamView> {
  const { clinicId, category, cursor, polledAt, failedInRow, recorded, problem } = stream;
  const state = stateOfStream(stream);
  return {
    clinicId,
    category,
    state,
    startAt: shown(stream.startAt),
    readUntil: shown(cursor),
    gap: stream.gap === undefined ? null : { from: shown(stream.gap.from), until: shown(stream.gap.until) },
    lagSeconds: polledAt === null ? null : Math.max(0, Math.round((now - polledAt) / 1000)),
    nextPollAt: shown(stream.nextPollAt),
    failedInRow,
    newestEventAt: shown(stream.newestEventAt),
    recorded,
    problem,
    lateSeconds: Math.round((stream.lateness?.ms ?? 0) / 1000),
    daysLeft: state === 'reading' ? null : daysLeft(stream, now),
  };
}

function stateOfStream({ isOff, failedInRow, polledAt }: Stream): z.infer<typeof streamView>['state'] {
  if (isOff) return 'off';
  if (failedInRow > 0) return 'failing';
  return polledAt === null ? 'new' : 'reading';
}

function viewOfSetAside(item: SetAside): z.infer<typeof setAsideView> {
  const { clinicId, category, eventId, reason, detail, tries, isFinal } = item;
  return {
    clinicId,
    category,
    eventId,
    reason,
    detail,
    tries,
    isFinal,
    firstTriedAt: shown(item.firstTriedAt),
    lastTriedAt: shown(item.lastTriedAt),
  };
}

function countsOf(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = { active: 0, failing: 0, paused: 0 };
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}
