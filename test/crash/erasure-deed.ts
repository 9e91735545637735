import type { ErasureView } from '../../src/client/erasures.ts';
import { RelayRefused } from '../../src/client/errors.ts';
import type { CallApi } from '../../src/client/relay-api.ts';
import { concernsPatient } from '../../src/domain/patient.ts';
import type { StoredEvent } from '../../src/sandbox/event-log.ts';
import type { Prepared, Scene } from './deeds.ts';
import { isKnown, recorded } from './intake.ts';
import { pause } from './pause.ts';

const looksMax = 400;
const lookMs = 25;

/** Erases a patient all of whose events are delivered. */
export async function prepareErasure({ town, call }: Scene): Promise<Prepared> {
  const events = [town.happen(), town.happen(), town.happen()];
  await recorded(town, call, events);
  await town.settle(call);
  const patientId = patientOf(events);
  const of = town.events().filter(({ text }) => concernsPatient(text, patientId));
  for (const { id } of of) town.erased.add(id);
  let known: ErasureView | null = null;
  return {
    async perform() {
      known = await begunErasure(call, patientId);
      const { id } = known;
      for (let left = looksMax; left > 0 && known.state === 'running'; left--) {
        await pause(lookMs);
        known = await shownErasure(call, id);
      }
    },
    check: (after) => erasureFaults(after, { patientId, known, eventIds: of.map(({ id }) => id) }),
  };
}

/** Of one of them; each is about somebody. */
function patientOf(events: readonly StoredEvent[]): string {
  for (const { text } of events) {
    const { data } = JSON.parse(text) as { data: { patient?: { id: string }; patient_id?: string } };
    const id = data.patient?.id ?? data.patient_id;
    if (id !== undefined) return id;
  }
  throw new Error('the events are about nobody');
}

async function shownErasure(call: CallApi, id: string): Promise<ErasureView> {
  return (await call({ method: 'GET', path: `/v1/erasures/${id}` })) as ErasureView;
}

/** The one before it may be under way yet. */
async function begunErasure(call: CallApi, patientId: string): Promise<ErasureView> {
  for (let left = looksMax; left > 0; left--) {
    try {
      return (await call({ method: 'POST', path: '/v1/erasures', body: { patientId } })) as ErasureView;
    } catch (error) {
      if (!(error instanceof RelayRefused && error.status === 409)) throw error;
    }
    await pause(lookMs);
  }
  throw new Error('an erasure does not end');
}

interface AskedErasure {
  readonly patientId: string;
  /** As it was shown last; `null` when nothing was answered. */
  readonly known: ErasureView | null;
  readonly eventIds: readonly string[];
}

/** On record it comes to its end by itself, before that it is asked for again; either way nothing is left of it. */
async function erasureFaults(call: CallApi, asked: AskedErasure): Promise<readonly string[]> {
  const ended = async (id: string) => {
    let erasure = await shownErasure(call, id);
    for (let left = looksMax; left > 0 && erasure.state === 'running'; left--) {
      await pause(lookMs);
      erasure = await shownErasure(call, id);
    }
    return erasure;
  };
  let erasure = asked.known && (await ended(asked.known.id));
  const wasOnRecord = asked.known?.result?.erased === true;
  if (wasOnRecord && erasure?.state !== 'done') return ['an erasure that was on record is not done'];
  if (erasure?.state !== 'done') erasure = await ended((await begunErasure(call, asked.patientId)).id);
  if (erasure.state !== 'done' || erasure.result?.erased !== true) {
    return [`an erasure came to nothing: ${JSON.stringify(erasure)}`];
  }
  const left: string[] = [];
  for (const id of asked.eventIds) {
    if (!(await isKnown(call, id))) continue;
    const { body } = (await call({ method: 'GET', path: `/v1/events/${id}` })) as { body: unknown };
    if (body !== null) left.push(`${id} is erased, and its text is there`);
  }
  return left;
}
