import { type Clock, wait } from '../clock.ts';
import type { Clinic, Connection, Stream } from '../domain/clinic.ts';
import type { ClinicStore, PollStore } from '../store/store.ts';

/** How far a stream was read: `failing` and `off` are left to the relay that runs next. */
export interface RebuiltStream {
  readonly clinicId: string;
  readonly clinicName: string;
  readonly category: string;
  readonly state: 'read' | 'off' | 'failing';
  /** One line; `null` when it was read. */
  readonly problem: string | null;
}

export interface Reading {
  readonly streams: readonly RebuiltStream[];
  /** Connections whose clinic could not be asked for: name and why. */
  readonly unconnected: readonly { readonly name: string; readonly problem: string }[];
}

export interface ReadingDependencies {
  readonly store: Pick<ClinicStore, 'clinics' | 'connections'> & Pick<PollStore, 'streams'>;
  /** None: only the clinics of the connections are waited for. */
  readonly categories: readonly string[];
  readonly clock: Clock;
  /** Ends the waiting where it is. */
  readonly halt: AbortSignal;
  readonly onProgress: (progress: { read: number; streams: number; recorded: number }) => void;
}

const lookAgainMs = 500;
const failuresMax = 5;
/** Nothing has moved for so long: what is left will not be read now. */
const stalledMs = 10 * 60_000;

interface Seen {
  readonly clinics: readonly Clinic[];
  readonly connections: readonly Connection[];
  readonly streams: readonly Stream[];
  /** Each clinic that was found has one of each. */
  readonly categories: readonly string[];
}

/**
 * Waits while the poller reads, until every stream of every connection was read to its
 * end once, is off, or has failed again and again.
 */
export async function untilRead(dependencies: ReadingDependencies): Promise<Reading> {
  const { store, categories, clock, halt, onProgress } = dependencies;
  let movedAt = clock.monotonic();
  let before = '';
  for (;;) {
    const seen = {
      clinics: await store.clinics(),
      connections: await store.connections(),
      streams: (await store.streams()).filter(({ category }) => categories.includes(category)),
      categories,
    };
    const now = shapeOf(seen);
    if (now !== before) movedAt = clock.monotonic();
    before = now;
    const read = seen.streams.filter(({ polledAt }) => polledAt !== null).length;
    const recorded = seen.streams.reduce((sum, stream) => sum + stream.recorded, 0);
    onProgress({ read, streams: seen.streams.length, recorded });
    const isStalled = clock.monotonic() - movedAt >= stalledMs;
    if (isStalled || halt.aborted || isSettled(seen)) return readingOf(seen);
    await wait(clock, lookAgainMs, halt);
  }
}

/** Changes when anything does that tells of progress. */
function shapeOf({ connections, streams }: Seen): string {
  return JSON.stringify([
    connections.map(({ clinicId, state }) => [clinicId, state]),
    streams.map(({ polledAt, failedInRow, isOff, recorded }) => [polledAt, failedInRow, isOff, recorded]),
  ]);
}

function isFound({ clinicId }: Connection, { streams, categories }: Seen): boolean {
  if (clinicId === null) return false;
  const followed = streams.filter((stream) => stream.clinicId === clinicId).length;
  return followed >= categories.length;
}

function isSettled(seen: Seen): boolean {
  const { connections, streams } = seen;
  const working = connections.filter(({ state }) => state === 'working');
  const readable = new Set(working.map(({ clinicId }) => clinicId));
  return (
    working.every((connection) => isFound(connection, seen)) &&
    streams.every(
      ({ clinicId, polledAt, isOff, failedInRow }) =>
        polledAt !== null || isOff || failedInRow >= failuresMax || !readable.has(clinicId),
    )
  );
}

function readingOf(seen: Seen): Reading {
  const { clinics, connections, streams } = seen;
  const names = new Map(clinics.map(({ id, name }) => [id, name]));
  const unread = connections.filter((connection) => !isFound(connection, seen));
  return {
    streams: streams.map((stream) => {
      const { clinicId, category, polledAt, isOff, problem } = stream;
      const about = { clinicId, clinicName: names.get(clinicId) ?? clinicId, category };
      if (polledAt !== null) return { ...about, state: 'read', problem: null };
      return { ...about, state: isOff ? 'off' : 'failing', problem: problem ?? 'it was not read to its end' };
    }),
    unconnected: unread.map(({ name, stateReason }) => ({
      name,
      problem: stateReason ?? 'its clinic could not be asked for',
    })),
  };
}
