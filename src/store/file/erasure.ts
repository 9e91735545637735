import { type Clock, wait } from '../../clock.ts';
import { deliveryIdOf } from '../../domain/delivery.ts';
import { StoreCorrupt } from '../../domain/errors.ts';
import type { EventInClinic } from '../../domain/event.ts';
import { concernsPatient } from '../../domain/patient.ts';
import type { Erased, ErasureAsk, ErasureStore } from '../store.ts';
import type { Bodies } from './bodies.ts';
import type { BodyFiles } from './body-files.ts';
import type { ColdRows } from './cold-rows.ts';
import type { Commits } from './commits.ts';
import type { EventRow } from './facts.ts';
import type { KeyRing } from './keys.ts';
import { eventKey } from './kinds.ts';
import type { OneAtATime } from './one-at-a-time.ts';
import { isOpen } from './retention-rules.ts';
import { authenticate } from './sealing.ts';
import type { State } from './state.ts';

export interface ErasureDependencies {
  readonly commits: Commits;
  readonly bodies: Bodies;
  readonly coldRows: ColdRows;
  readonly bodyFiles: BodyFiles;
  readonly keys: KeyRing;
  readonly clock: Clock;
  /** Retention takes its turns with it: both move what files hold. */
  readonly inTurn: OneAtATime;
}

/** Rows that are looked at in one go: less than a millisecond of work. */
const rowsPerLook = 1_024;
/** Their rows are in memory together, and their fact is one line: so many characters of ids. */
const idsLengthMax = 100_000;
const deliveryIdLength = 40;

/** An event whose text is about the patient. */
interface Found extends EventInClinic {
  /** About so many characters of ids in a fact. */
  readonly idsLength: number;
}

/**
 * Erases the events of one patient: their texts and the answers to their deliveries.
 *
 * `erase` puts on record that they are erased, and nothing is sent of them any more.
 * `removeErased` writes every file that holds some of these bytes anew, without them and
 * under a new key, removes the old file and drops its key. Retention does so, too, at
 * each look.
 */
export function erasurePart(dependencies: ErasureDependencies): ErasureStore {
  const { commits, keys, inTurn, bodyFiles } = dependencies;
  const onDisk = <Answer>(work: () => Promise<Answer>) => inTurn(() => commits.besideBatches(work));
  return {
    erase: (ask) =>
      onDisk(async () => {
        const patient = authenticate(await keys.keyFor('value', 'store'), 'erased patient', ask.patientId);
        const found = await search(ask, dependencies);
        const counts = { patient, unreadable: found.unreadable, events: found.events.length };
        if (ask.isDryRun || (found.open > 0 && !ask.endsOpen)) {
          return { ...counts, open: found.open, ended: 0, files: 0, isErased: false };
        }
        return await erase(found, patient, ask, dependencies);
      }),
    removeErased: (signal) => onDisk(() => bodyFiles.rewriteMarked(signal)),
  };
}

interface Search {
  readonly events: readonly Found[];
  /** Their deliveries that are not at their end. */
  readonly open: number;
  readonly unreadable: number;
}

/** Opens every body that there is. */
async function search(
  ask: ErasureAsk,
  { commits, coldRows, bodies, clock }: ErasureDependencies,
): Promise<Search> {
  const events: Found[] = [];
  let open = 0;
  let unreadable = 0;
  for (let from = 0; ; from += rowsPerLook) {
    ask.signal.throwIfAborted();
    const some = await commits.read((state) => {
      if (from >= state.events.end) return null;
      const numbers: number[] = [];
      for (let at = from; at < Math.min(from + rowsPerLook, state.events.end); at++) {
        if (hasBody(state, at) && isOfClinic(state, at, ask.clinicId)) numbers.push(at);
      }
      return numbers.map((number) => state.events.at(number));
    });
    if (some === null) return { events, open, unreadable };
    // No disk is waited for where no bodies are: everybody else takes a turn all the same.
    if (from > 0) await wait(clock, 0, ask.signal);
    for (const row of await coldRows.rows(some)) {
      ask.signal.throwIfAborted();
      const text = await textOf(row, bodies);
      if (text === null) unreadable++;
      else if (concernsPatient(text, ask.patientId)) {
        const event = { clinicId: row.clinicId, eventId: row.id };
        const found = await commits.read((state) => ({
          open: openOf(state, event).length,
          deliveries: deliveriesOf(state, event).length,
        }));
        open += found.open;
        const idsLength = event.clinicId.length + event.eventId.length + found.deliveries * deliveryIdLength;
        events.push({ ...event, idsLength });
      }
    }
  }
}

/** Group by group; the job goes with the last of them. */
async function erase(
  { events, unreadable }: Search,
  patient: string,
  ask: ErasureAsk,
  { commits, clock }: ErasureDependencies,
): Promise<Erased> {
  const groups = groupsOf(events);
  const files = new Set<string>();
  let soFar: Erased = { patient, unreadable, events: 0, open: 0, ended: 0, files: 0, isErased: true };
  for (const [index, group] of groups.entries()) {
    ask.signal.throwIfAborted();
    const before = soFar;
    soFar = await commits.commit(({ state, record }) => {
      const known = group.filter((each) => state.events.has(keyOf(each)));
      state.events.need(known.map(keyOf));
      // One that a replay has opened since is left, unless open ones are to end.
      const erasable = known.filter((each) => ask.endsOpen || openOf(state, each).length === 0);
      const deliveries = erasable.flatMap((each) => deliveriesOf(state, each)).map(({ id }) => id);
      state.deliveries.need(deliveries);
      const open = erasable.flatMap((each) => openOf(state, each)).map(({ id }) => id);
      const at = clock.now();
      const filesOfGroup = filesOf(state, erasable, deliveries);
      if (open.length > 0) record({ t: 'ended', at, reason: 'erased', of: open });
      if (erasable.length > 0) {
        const pairs = erasable.map(({ clinicId, eventId }) => [clinicId, eventId] as const);
        record({ t: 'erased', at, by: ask.by, patient, events: pairs, deliveries, files: filesOfGroup });
      }
      for (const file of filesOfGroup) files.add(file);
      const after = {
        ...before,
        events: before.events + erasable.length,
        open: before.open + group.length - erasable.length,
        ended: before.ended + open.length,
        files: files.size,
      };
      if (index === groups.length - 1) record({ t: 'job', row: ask.jobAfter(after) });
      return after;
    });
  }
  return soFar;
}

function groupsOf(events: readonly Found[]): readonly (readonly Found[])[] {
  const groups: Found[][] = [];
  let length = idsLengthMax;
  for (const each of events) {
    length += each.idsLength;
    if (length > idsLengthMax) {
      groups.push([]);
      length = each.idsLength;
    }
    groups.at(-1)?.push(each);
  }
  return groups;
}

/** Files that hold bytes of these. */
function filesOf(state: State, events: readonly Found[], deliveries: readonly string[]): readonly string[] {
  const bodies = events.map((each) => state.events.get(keyOf(each))?.body?.file);
  const excerpts = deliveries.flatMap((id) => (state.attempts.get(id) ?? []).map((row) => row.excerpt?.file));
  const files = new Set([...bodies, ...excerpts].filter((file) => file !== undefined));
  return [...files].filter((file) => !state.isExpired(file));
}

interface DeliveryOf {
  readonly id: string;
  readonly number: number;
}

/** Also those that a backfill added, and of subscribers that were deleted. */
function deliveriesOf({ subscribers, deliveries, words }: State, event: EventInClinic): DeliveryOf[] {
  const found: DeliveryOf[] = [];
  for (const { id: subscriberId } of subscribers.values()) {
    const id = deliveryIdOf(event.eventId, subscriberId);
    const number = deliveries.numberOf(id);
    if (number === null || words.text(deliveries.columns.clinic.get(number)) !== event.clinicId) continue;
    found.push({ id, number });
  }
  return found;
}

function openOf(state: State, event: EventInClinic): DeliveryOf[] {
  return deliveriesOf(state, event).filter(({ number }) => isOpen(state, number));
}

function hasBody(state: State, number: number): boolean {
  const { events, words } = state;
  const file = words.text(events.columns.bodyFile.get(number));
  return events.isThere(number) && file !== '' && !state.isExpired(file);
}

function isOfClinic({ events, words }: State, number: number, clinicId: string | null): boolean {
  return clinicId === null || words.text(events.columns.clinic.get(number)) === clinicId;
}

function keyOf({ clinicId, eventId }: EventInClinic): string {
  return eventKey(clinicId, eventId);
}

/** `null` when it is damaged. */
async function textOf(row: EventRow, bodies: Bodies): Promise<string | null> {
  if (row.body === null) return null;
  const record = eventKey(row.bodyOf ?? row.clinicId, row.id);
  try {
    return (await bodies.openOnce(row.body, { kind: 'body', record })).toString();
  } catch (error) {
    if (error instanceof StoreCorrupt) return null;
    throw error;
  }
}
