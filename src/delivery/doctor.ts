import type { Clock } from '../clock.ts';
import { Conflict } from '../domain/errors.ts';
import type { Subscriber } from '../domain/subscriber.ts';
import type { Logger } from '../logger.ts';
import { type SignedRequest, wireFormatOf } from '../wire/compose.ts';
import {
  type CheckName,
  checkNames,
  type Finding,
  type ForgedCheck,
  gradeForged,
  gradeHonest,
  type HonestCheck,
} from './doctor-grades.ts';
import { type Sample, type SampleEvent, Samples, unknownType } from './doctor-samples.ts';
import type { HandshakePartner, ShakeHands } from './handshake.ts';
import type { Post, PostResult } from './post.ts';
import { noTokenKey, type TokenKeyOf } from './token-key-of.ts';

export interface Examination {
  /** Nothing has to be fixed. */
  readonly passed: boolean;
  /** One for each of `checkNames`, in their order. */
  readonly findings: readonly Finding[];
}

/**
 * Sends a receiver what a relay sends, and what it must never take, and grades the
 * answers. None of it is a delivery, and nothing is recorded; whoever does not look at
 * `relay-test` does its work for the samples.
 *
 * @throws RelayError `signing_secret_unusable`; Conflict `doctor_running` while the same one is being examined
 */
export type Examine = (patient: Patient) => Promise<Examination>;

export type Patient = HandshakePartner & Pick<Subscriber, 'eventTypes'>;

export interface DoctorDependencies {
  readonly post: Post;
  readonly shakeHands: ShakeHands;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly userAgent: string;
  /** Default: `noTokenKey`. */
  readonly tokenKeyOf?: TokenKeyOf;
  /** Of one request. */
  readonly timeoutMs: number;
  readonly sampleEvent: SampleEvent;
}

/** Of all requests together: whoever asked is waiting. */
const examinationMs = 45_000;

export function createDoctor(dependencies: DoctorDependencies): Examine {
  const { clock, logger } = dependencies;
  const underWay = new Set<string>();

  return async (patient) => {
    if (underWay.has(patient.id)) {
      throw new Conflict('doctor_running', `Subscriber ${patient.id} is being examined already.`, {
        hint: 'Wait for that examination: it takes 45 seconds at most.',
      });
    }
    underWay.add(patient.id);
    try {
      const findings = await examine(dependencies, patient, clock.monotonic() + examinationMs);
      const toFix = findings.filter(({ grade }) => grade === 'fix').map(({ check }) => check);
      logger.info('doctor', { subscriberId: patient.id, toFix: toFix.join(', ') });
      return { passed: toFix.length === 0, findings };
    } finally {
      underWay.delete(patient.id);
    }
  };
}

async function examine(
  { post, shakeHands, clock, userAgent, timeoutMs, sampleEvent, tokenKeyOf = noTokenKey }: DoctorDependencies,
  patient: Patient,
  endsAt: number,
): Promise<readonly Finding[]> {
  const samples = new Samples(patient, {
    clock,
    userAgent,
    sampleEvent,
    tokenKey: await tokenKeyOf(patient),
  });
  const needsAnswerBody = wireFormatOf(patient).needsAnswerBody(patient);
  const plain = samples.event();

  const send = (request: SignedRequest): Promise<PostResult> =>
    post({
      url: patient.url,
      ...request,
      timeoutMs: Math.max(1, Math.min(timeoutMs, endsAt - clock.monotonic())),
      needsAnswerBody,
    });
  const honest = async (check: HonestCheck, sample: Sample) =>
    gradeHonest(check, await send(samples.request(sample)), patient);
  const forged = async (check: ForgedCheck, request: SignedRequest) =>
    gradeForged(check, await send(request));

  const checks: Readonly<Record<CheckName, () => Promise<Finding>>> = {
    handshake: async () => {
      if (patient.challengeToken === null)
        return skipped('handshake', 'It has no challenge token to ask for.');
      const result = await shakeHands(patient);
      if (result.kind === 'failed') {
        return { check: 'handshake', grade: 'fix', message: result.message, hint: result.hint };
      }
      const message = `The empty request was answered ${result.status} with the challenge token.`;
      return { check: 'handshake', grade: 'good', message, hint: null };
    },
    event: () => honest('event', plain),
    duplicate: () => honest('duplicate', plain),
    reordered: async () => {
      const [newer, older] = samples.reordered();
      const first = await honest('reordered', newer);
      return first.grade === 'fix' ? first : honest('reordered', older);
    },
    unknownType: async () => {
      const type = unknownType(patient.eventTypes);
      if (type === null) return skipped('unknownType', 'Its eventTypes let no other type through.');
      return honest('unknownType', samples.event(type));
    },
    largeBody: async () => {
      if (patient.thin) return skipped('largeBody', 'It gets thin events, which are never large.');
      return honest('largeBody', samples.large());
    },
    spelling: async () => {
      if (patient.thin) return skipped('spelling', 'It gets thin events, which hold nothing unusual.');
      return honest('spelling', samples.unusual());
    },
    unsigned: () => forged('unsigned', samples.unsigned()),
    badSignature: () => forged('badSignature', samples.forged()),
    oldTimestamp: () => forged('oldTimestamp', samples.old()),
  };

  const findings: Finding[] = [];
  let isTaken = true;
  for (const check of checkNames) {
    if (!isTaken) findings.push(skipped(check, 'A plain event was not taken, so this says nothing.'));
    else if (clock.monotonic() >= endsAt) findings.push(skipped(check, 'The answers before took too long.'));
    else {
      const finding = await checks[check]();
      findings.push(finding);
      if (check === 'event' && finding.grade === 'fix') isTaken = false;
    }
  }
  return findings;
}

function skipped(check: CheckName, message: string): Finding {
  return { check, grade: 'skipped', message, hint: null };
}
