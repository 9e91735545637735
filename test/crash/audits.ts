import type { AuditView } from '../../src/client/audits.ts';
import { RelayRefused } from '../../src/client/errors.ts';
import type { CallApi } from '../../src/client/relay-api.ts';
import { pause } from './pause.ts';

const looksMax = 1_000;
const lookMs = 50;

/** Audits, and takes in what is missing. @returns what the audit after that still finds wrong. */
export async function audited(call: CallApi): Promise<readonly string[]> {
  await audit(call);
  const { balanced, missing, unlisted } = await audit(call);
  return balanced && unlisted.length === 0 ? [] : [`the audit does not balance: ${missing} missing`];
}

/** Takes in what is missing. One that a kill cut off goes on by itself, and so may the nightly one: they are waited for. */
export async function audit(call: CallApi): Promise<AuditView> {
  let id: string | null = null;
  for (let left = looksMax; left > 0; left--) {
    const asked =
      id === null
        ? call({ method: 'POST', path: '/v1/audits', body: { repair: true } }).catch(ifRefused)
        : call({ method: 'GET', path: `/v1/audits/${id}` });
    const found = (await asked) as AuditView | null;
    if (found !== null && found.state !== 'running') return found;
    id = found?.id ?? null;
    await pause(lookMs);
  }
  throw new Error('an audit does not end');
}

function ifRefused(error: unknown): null {
  if (error instanceof RelayRefused && error.status === 409) return null;
  throw error;
}
