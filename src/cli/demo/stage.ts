import { join } from 'node:path';
import type { Clock } from '../../clock.ts';
import { loadConfig } from '../../config.ts';
import { jsonLogger } from '../../logger.ts';
import { type RunningRelay, startRelay } from '../../main.ts';
import { sandboxClientId, sandboxClientSecret } from '../../sandbox/fullscript.ts';
import { type RunningSandbox, startSandbox } from '../../sandbox/server.ts';
import type { DemoKeys } from './keys.ts';
import { type Receipt, type SampleSubscriber, startSampleSubscriber } from './sample-subscriber.ts';

/** A sample subscriber and how the relay is told of it. */
export interface Part {
  readonly name: string;
  readonly profile: 'fullscript' | 'standard';
  readonly retrySeconds: readonly number[];
  readonly hasChallenge: boolean;
  readonly answer: (eventId: string, attempt: number) => number;
}

/** Everything that plays in the demo, all of it on this machine. */
export interface Stage {
  readonly sandbox: RunningSandbox;
  readonly relay: RunningRelay;
  leave(): Promise<void>;
}

export interface StageOptions {
  readonly folder: string;
  readonly keys: DemoKeys;
  readonly clock: Clock;
  readonly parts: readonly Part[];
  readonly eventsPerMinute: number;
  readonly seed: number;
  readonly onReceipt: (receipt: Receipt) => void;
}

export const demoClinics = ['Washington', 'New York'];

/** Starts the vendor, the subscribers and the relay between them. */
export async function enter(options: StageOptions): Promise<Stage> {
  const { clock, eventsPerMinute, seed } = options;
  const sandbox = await startSandbox({ clock, seed, eventsPerMinute, clinics: demoClinics });
  const samples: SampleSubscriber[] = [];
  const declared: Record<string, unknown>[] = [];
  for (const part of options.parts) {
    const secret = secretOf(part, options.keys);
    const challengeToken = part.hasChallenge ? `challenge-${part.name}` : null;
    const { onReceipt } = options;
    const sample = await startSampleSubscriber({ ...part, secret, challengeToken, onReceipt });
    samples.push(sample);
    declared.push({
      name: part.name,
      url: sample.url,
      profile: part.profile,
      secret,
      retrySeconds: part.retrySeconds,
      ...(challengeToken !== null && { challengeToken }),
    });
  }
  const env = {
    RELAY_MASTER_KEY: options.keys.masterKey,
    RELAY_JWT_SECRET: options.keys.jwtSecret,
  };
  const raw = JSON.stringify({
    source: {
      environment: 'us-sandbox',
      apiUrl: `${sandbox.url}/api`,
      clientId: sandboxClientId,
      clientSecret: sandboxClientSecret,
      pollSecondsMin: 1,
      pollSecondsMax: 5,
      // The sandbox's events happen after the relay knows the clinics, or shortly before.
      startFrom: '1h',
    },
    clinics: sandbox.fullscript.clinics.map(({ name, slug }) => ({
      name,
      accessToken: `sandbox-access-${slug}`,
      refreshToken: `sandbox-refresh-${slug}`,
    })),
    subscribers: declared,
    delivery: { allowPrivateAddresses: true, allowHttp: true },
    store: { kind: 'file', path: join(options.folder, 'data') },
    server: { host: '127.0.0.1', port: 0 },
  });
  const config = loadConfig({ path: 'the demo', env, readFile: () => raw });
  const relay = await startRelay({ config, logger: jsonLogger('error', process.stderr) });
  return {
    sandbox,
    relay,
    async leave() {
      await relay.stop();
      for (const sample of samples) await sample.close();
      await sandbox.close();
    },
  };
}

/** The same at every start, so that a restarted demo goes on with the subscribers it had. */
function secretOf(part: Part, keys: DemoKeys): string {
  const text = `${part.name} ${keys.jwtSecret}`;
  return part.profile === 'standard'
    ? `whsec_${Buffer.from(text).subarray(0, 48).toString('base64')}`
    : Buffer.from(text).toString('hex').slice(0, 64);
}
