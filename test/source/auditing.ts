import { type AuditAsk, type AuditJob, asAuditJob } from '../../src/source/audit-job.ts';
import { type Changes, type PollingRelay, pollingRelay } from './clinic.ts';

const minute = 60_000;
const day = 24 * 60 * minute;

export const everything: AuditAsk = { clinicId: null, isRepairing: false, isNightly: false };
export const repairing: AuditAsk = { ...everything, isRepairing: true };

export async function latest({ store }: PollingRelay, { id }: Pick<AuditJob, 'id'>): Promise<AuditJob> {
  const job = asAuditJob(await store.job(id));
  if (job === null) throw new Error('it was begun');
  return job;
}

/** Runs an audit to its end. */
export async function audited(relay: PollingRelay, ask: AuditAsk = everything): Promise<AuditJob> {
  return ended(relay, await relay.auditor.begin(ask, 'operator'));
}

export async function ended(relay: PollingRelay, begun: Pick<AuditJob, 'id'>): Promise<AuditJob> {
  for (let minutes = 0; minutes < 180; minutes++) {
    const job = await latest(relay, begun);
    if (job.state !== 'running') return job;
    await relay.clock.advance(minute);
  }
  throw new Error('it did not end within three hours');
}

/** One that has polled once, with a start twenty days ago. */
export async function polled(changes: Changes = {}): Promise<PollingRelay> {
  const relay = await pollingRelay({ startFromMs: 20 * day, ...changes });
  await relay.clock.advance(minute);
  return relay;
}

/** An event that polls do not see: it appears behind their overlap, and the next sweep is a day off. */
export async function unseenEvent(relay: PollingRelay, clinic = 'Washington'): Promise<string> {
  const createdAt = relay.clock.now() - 10 * day;
  const { id } = relay.fullscript.addEvent({ clinic, type: 'order.placed', createdAt });
  await relay.clock.advance(5 * minute);
  const [clinicOfEvent] = relay.fullscript.ledger(clinic);
  const unseen = await relay.store.unseen(clinicOfEvent?.clinicId ?? '', [id]);
  if (unseen.length !== 1) throw new Error('a poll saw it');
  return id;
}
