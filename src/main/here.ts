import type { Clock } from '../clock.ts';
import type { Examination, Patient } from '../delivery/doctor.ts';
import { type Forwarding, startForwarding } from '../delivery/forward.ts';
import { examineOnLoopback } from '../delivery/loopback-doctor.ts';
import type { Subscriber } from '../domain/subscriber.ts';
import { createSampleEvent } from './sample-event.ts';
import { userAgent } from './shared.ts';

/** As long as a relay waits that is not told otherwise. */
const hereTimeoutMs = 15_000;

/** Examines a receiver on this machine; no relay has to run, and none is asked. */
export function examineHere(patient: Patient, clock: Clock): Promise<Examination> {
  const sampleEvent = createSampleEvent(clock, Math.random);
  return examineOnLoopback({ clock, userAgent, timeoutMs: hereTimeoutMs, sampleEvent }, patient);
}

/** Sends to a receiver of the developer who runs this; no relay has to run. */
export function forwardTo(subscriber: Subscriber, clock: Clock): Forwarding {
  return startForwarding(subscriber, { clock, userAgent, timeoutMs: hereTimeoutMs });
}
