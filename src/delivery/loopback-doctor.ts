import type { Clock } from '../clock.ts';
import { parseAllowEntry } from '../domain/allow-entry.ts';
import { silentLogger } from '../logger.ts';
import { createAddressGuard } from './address-guard.ts';
import { createDoctor, type Examination, type Patient } from './doctor.ts';
import type { SampleEvent } from './doctor-samples.ts';
import { createHandshake } from './handshake.ts';
import { createWebhookSender } from './webhook-sender.ts';

export interface LoopbackDoctorDependencies {
  readonly clock: Clock;
  readonly userAgent: string;
  readonly timeoutMs: number;
  readonly sampleEvent: SampleEvent;
}

/** Examines a receiver on this machine without a relay. No other address is dialled, whatever its name resolves to. */
export async function examineOnLoopback(
  { clock, userAgent, timeoutMs, sampleEvent }: LoopbackDoctorDependencies,
  patient: Patient,
): Promise<Examination> {
  const allow = ['127.0.0.0/8', '::1'].map(parseAllowEntry).filter((entry) => entry.kind !== 'problem');
  const guard = createAddressGuard({
    allow,
    allowPrivateAddresses: false,
    allowHttp: false,
    publicPorts: [],
  });
  const sender = createWebhookSender({ guard, clock });
  try {
    const { post } = sender;
    const logger = silentLogger;
    const shakeHands = createHandshake({ post, clock, logger, userAgent });
    return await createDoctor({ post, shakeHands, clock, logger, userAgent, timeoutMs, sampleEvent })(
      patient,
    );
  } finally {
    sender.close();
  }
}
