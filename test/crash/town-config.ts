import { createHash, randomBytes } from 'node:crypto';
import type { RunningSandbox } from '../../src/sandbox/server.ts';

/** Every subscriber wants the events of these; of the sandbox's last clinic nobody does. */
export const wantedClinics = ['Washington', 'New York'] as const;
export const unwantedClinic = 'Boston';

/** Fullscript's key for its own webhooks. */
export const webhookSecret = 'the-signature-secret-key-of-the-dashboard';

/** The event's own text is the body, and a refused attempt is made again at once. */
export const dialect = {
  profile: 'standard',
  retrySeconds: [0, 0, 1, 1, 1, 1],
  clinicIds: wantedClinics,
} as const;

export function secretOf(name: string): string {
  return `whsec_${createHash('sha256').update(name).digest('base64')}`;
}

export function freshKey(): string {
  return randomBytes(32).toString('base64');
}

/** The configuration of the relay in a town, as its file holds it. */
export function configOf(
  sandbox: RunningSandbox,
  { declaredUrl, dataPath }: { readonly declaredUrl: string; readonly dataPath: string },
): object {
  return {
    source: {
      environment: 'us-sandbox',
      apiUrl: `${sandbox.url}/api`,
      clientId: 'sandbox-client',
      clientSecret: 'sandbox-secret',
      categories: ['patients', 'orders'],
      pollSecondsMin: 1,
      pollSecondsMax: 1,
      startFrom: '1h',
      webhooks: { secret: webhookSecret },
    },
    clinics: sandbox.fullscript.clinics.map(({ name, slug }) => ({
      name,
      accessToken: `sandbox-access-${slug}`,
      refreshToken: `sandbox-refresh-${slug}`,
    })),
    subscribers: [{ name: 'declared', url: declaredUrl, ...dialect, secret: secretOf('declared') }],
    delivery: { allowPrivateAddresses: true, allowHttp: true },
    store: { kind: 'file', path: dataPath },
    // Deliveries no longer than ids: what is deleted in one look is all that ended before it.
    retention: { deliveriesDays: 35, bodiesDays: 2 },
    server: { port: 0 },
  };
}
