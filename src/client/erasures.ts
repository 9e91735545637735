import { type CallApi, pathOf } from './relay-api.ts';

/** What came of an erasure. */
export interface ErasureView {
  readonly id: string;
  readonly state: 'running' | 'done' | 'cancelled';
  readonly dryRun: boolean;
  /** Why it was cancelled, or what it waits for. */
  readonly problem: string | null;
  /** `null` until it is on record. */
  readonly result: {
    /** False for a dry run, and when open deliveries stood in the way. */
    readonly erased: boolean;
    readonly events: number;
    /** Open deliveries that stand in the way, or would be ended; after an erasure, events that were left. */
    readonly open: number;
    readonly ended: number;
    readonly files: number;
    readonly unreadable: number;
    readonly note: string;
  } | null;
}

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
