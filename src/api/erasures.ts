import { z } from 'zod';
import type { ErasureAsk, ErasureJob } from '../delivery/eraser.ts';
import { NotFound } from '../domain/errors.ts';
import type { ClinicStore } from '../store/store.ts';
import { idQuery, shown } from './query.ts';
import { type Route, route } from './route.ts';

export interface ErasuresDependencies {
  readonly store: Pick<ClinicStore, 'clinics'>;
  readonly eraser: {
    begin(patientId: string, ask: ErasureAsk, owner: string): Promise<ErasureJob>;
    find(id: string): Promise<ErasureJob | null>;
  };
}

const erasureInput = z.strictObject({
  /** As Fullscript names the patient. */
  patientId: idQuery,
  /** Its id or name; all clinics without it. */
  clinicId: idQuery.optional(),
  /** End open deliveries of the patient's events; otherwise nothing is erased while there are any. */
  cancelOpen: z.boolean().default(false),
  dryRun: z.boolean().default(false),
});

const erasureView = z.object({
  id: z.string(),
  state: z.enum(['running', 'done', 'cancelled']),
  /** Whose token asked for it. */
  by: z.string(),
  clinicId: z.string().nullable(),
  dryRun: z.boolean(),
  cancelOpen: z.boolean(),
  createdAt: z.string(),
  endedAt: z.string().nullable(),
  /** Why it was cancelled, or what it waits for. */
  problem: z.string().nullable(),
  /** What came of it; `null` until it is on record. It is done once it is off the disk, too. */
  result: z
    .object({
      /** False for a dry run, and when open deliveries stood in the way. */
      erased: z.boolean(),
      events: z.number(),
      /** Open deliveries that stand in the way, or would be ended. */
      open: z.number(),
      /** Open deliveries that were ended. */
      ended: z.number(),
      /** Files that are written anew without the patient's events. */
      files: z.number(),
      /** Events whose text is damaged: nobody can say whose they are. */
      unreadable: z.number(),
      /** A code of the patient's id, as it is on record. */
      patient: z.string(),
      note: z.string(),
    })
    .nullable(),
});

const noteOnBackups =
  'Backups made before hold these events: delete them. Those made with --keys do not open the days concerned any more once a newer backup has replaced the file of keys.';
const noteOnNothing = 'Nothing was changed.';

export function erasureRoutes({ store, eraser }: ErasuresDependencies): readonly Route[] {
  return [
    route({
      method: 'post',
      path: '/v1/erasures',
      scope: 'admin',
      summary: 'Erase the texts of one patient’s events; with `dryRun` only count them',
      body: erasureInput,
      answers: { status: 202, schema: erasureView },
      async answer({ caller, body: { patientId, clinicId, cancelOpen, dryRun } }) {
        const ask = {
          clinicId: clinicId === undefined ? null : await clinicIdOf(store, clinicId),
          endsOpen: cancelOpen,
          isDryRun: dryRun,
        };
        return { body: viewOfErasure(await eraser.begin(patientId, ask, caller.subject)) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/erasures/{id}',
      scope: 'admin',
      summary: 'Show what came of an erasure',
      answers: { status: 200, schema: erasureView },
      async answer({ id }) {
        const job = await eraser.find(id);
        if (job === null) throw new NotFound('erasure', id);
        return { body: viewOfErasure(job) };
      },
    }),
  ];
}

/** Also of a clinic that was removed: its events are in the log. @throws NotFound */
async function clinicIdOf(store: Pick<ClinicStore, 'clinics'>, idOrName: string): Promise<string> {
  const clinics = await store.clinics();
  const found = clinics.find(({ id }) => id === idOrName) ?? clinics.find(({ name }) => name === idOrName);
  if (found === undefined) throw new NotFound('clinic', idOrName);
  return found.id;
}

function viewOfErasure(job: ErasureJob): z.infer<typeof erasureView> {
  const { id, state, owner: by, ask, createdAt, endedAt, progress } = job;
  const { found, problem } = progress;
  let result: z.infer<typeof erasureView>['result'] = null;
  if (found !== null) {
    const { isErased, ...counts } = found;
    result = { erased: isErased, ...counts, note: isErased ? noteOnBackups : noteOnNothing };
  }
  const { clinicId, isDryRun: dryRun, endsOpen: cancelOpen } = ask;
  const times = { createdAt: shown(createdAt), endedAt: shown(endedAt) };
  return { id, state, by, clinicId, dryRun, cancelOpen, ...times, problem, result };
}
