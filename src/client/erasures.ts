import { type CallApi, pathOf } from './relay-api.ts';
import type { ErasureView } from './views.ts';

export interface ErasureAsk {
  readonly patientId: string;
  /** Its id or name; all clinics without it. */
  readonly clinicId?: string | undefined;
  /** End open deliveries of the patient's events. */
  readonly cancelOpen: boolean;
  /** Count and change nothing. */
  readonly dryRun: boolean;
}

export async function startErasure(call: CallApi, body: ErasureAsk): Promise<ErasureView> {
  return (await call({ method: 'POST', path: '/v1/erasures', body })) as ErasureView;
}

export async function showErasure(call: CallApi, id: string): Promise<ErasureView> {
  return (await call({ method: 'GET', path: pathOf('v1', 'erasures', id) })) as ErasureView;
}
