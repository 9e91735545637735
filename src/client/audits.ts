import { type CallApi, pathOf } from './relay-api.ts';
import type { AuditView } from './views.ts';

export interface AuditAsk {
  /** Its id or name; all clinics without it. */
  readonly clinicId?: string | undefined;
  /** Take in what is missing. */
  readonly repair: boolean;
}

export async function startAudit(call: CallApi, body: AuditAsk): Promise<AuditView> {
  return (await call({ method: 'POST', path: '/v1/audits', body })) as AuditView;
}

export async function showAudit(call: CallApi, id: string): Promise<AuditView> {
  return (await call({ method: 'GET', path: pathOf('v1', 'audits', id) })) as AuditView;
}

export async function cancelAudit(call: CallApi, id: string): Promise<AuditView> {
  return (await call({ method: 'DELETE', path: pathOf('v1', 'audits', id) })) as AuditView;
}
