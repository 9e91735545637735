import { z } from 'zod';
import { outcomeLabel } from '../domain/attempt.ts';
import { InvalidInput } from '../domain/errors.ts';
import { isEventTypePattern } from '../domain/event.ts';
import {
  makeSecret,
  type SignatureKind,
  secretProblem,
  signatureKindOf,
  signatureProblem,
} from '../domain/signing-secret.ts';
import { reasonsLiftedByResume, type SigningSecret, type Subscriber } from '../domain/subscriber.ts';
import { subscriberFor } from './ownership.ts';
import { type Route, route } from './route.ts';
import { newSubscriberView, shownSecret, subscriberView, viewOfSubscriber } from './subscriber-view.ts';
import { checkNotDeclared, type HandshakeVerdict, type SubscribersDependencies } from './subscribers.ts';

const resumeInput = z.strictObject({ backlog: z.enum(['deliver', 'skip']).default('deliver') });

const testInput = z.strictObject({
  type: z
    .string()
    .refine(
      (type) => isEventTypePattern(type) && !type.includes('*'),
      'must be one event type, such as order.placed',
    )
    .optional(),
});

const handshakeView = z.object({ passed: z.boolean(), message: z.string(), hint: z.string() });
const testView = z.object({ passed: z.boolean(), outcome: z.string(), hint: z.string().optional() });

const overlapSecondsMax = 7 * 86_400;
const overlapSecondsDefault = 86_400;
/** As many as fit into one header with room to spare. */
const secretsMax = 5;

const rotateInput = z.strictObject({
  secret: z.string().optional(),
  signature: z.enum(['v1', 'v1a']).optional(),
  overlapSeconds: z
    .number()
    .int('must be whole seconds')
    .min(0, 'must not be negative')
    .max(overlapSecondsMax, 'must be 7 days at most')
    .optional(),
});

/** What is done to a subscriber without changing what it asked for. */
export function subscriberVerbRoutes(dependencies: SubscribersDependencies): readonly Route[] {
  const { store, clock, shakeHands, sendTest, wakeDispatcher } = dependencies;
  const view = (subscriber: Subscriber) => viewOfSubscriber(subscriber, clock.now());

  return [
    route({
      method: 'post',
      path: '/v1/subscribers/{id}/pause',
      scope: 'write',
      summary: 'Send it nothing until it is resumed; what it is owed waits',
      answers: { status: 200, schema: subscriberView },
      async answer({ caller, id }) {
        await subscriberFor(store, caller, id);
        const paused = await store.pauseSubscriber(id, 'person');
        wakeDispatcher();
        return { body: view(paused) };
      },
    }),
    route({
      method: 'post',
      path: '/v1/subscribers/{id}/resume',
      scope: 'write',
      summary: 'Send to it again, after the handshake that it may owe; the backlog is delivered or skipped',
      body: resumeInput,
      answers: { status: 200, schema: subscriberView.extend({ handshakeResult: handshakeView.optional() }) },
      isDialling: true,
      async answer({ caller, id, body }) {
        const before = await subscriberFor(store, caller, id);
        const isOwed = before.pauseReasons.includes('handshake');
        const verdict = isOwed ? await shakeHands(before) : null;
        const resumed = await store.resumeSubscriber(id, {
          lift: [...reasonsLiftedByResume, ...(verdict?.kind === 'passed' ? (['handshake'] as const) : [])],
          backlog: body.backlog,
          shookRevision: before.revision,
          closeBreaker: true,
        });
        wakeDispatcher();
        return { body: { ...view(resumed), ...(verdict && { handshakeResult: shownVerdict(verdict) }) } };
      },
    }),
    route({
      method: 'post',
      path: '/v1/subscribers/{id}/test',
      scope: 'write',
      summary: 'Send it a sample event that is no delivery, after the handshake that it may owe',
      body: testInput,
      answers: { status: 200, schema: testView },
      isDialling: true,
      async answer({ caller, id, body }) {
        const subscriber = await subscriberFor(store, caller, id);
        if (subscriber.pauseReasons.includes('handshake')) {
          const verdict = await shakeHands(subscriber);
          if (verdict.kind === 'failed') {
            return { body: { passed: false, outcome: `handshake: ${verdict.message}`, hint: verdict.hint } };
          }
          await store.resumeSubscriber(id, {
            lift: ['handshake'],
            backlog: 'deliver',
            shookRevision: subscriber.revision,
          });
          wakeDispatcher();
        }
        const outcome = await sendTest(subscriber, body.type ?? null);
        return { body: { passed: outcome.kind === 'accepted', outcome: outcomeLabel(outcome) } };
      },
    }),
    route({
      method: 'post',
      path: '/v1/subscribers/{id}/rotate-secret',
      scope: 'write',
      summary:
        'Sign with another secret; with the profile standard the older one signs beside it for a while',
      body: rotateInput,
      answers: { status: 200, schema: newSubscriberView },
      async answer({ caller, id, body }) {
        const before = await subscriberFor(store, caller, id);
        checkNotDeclared(before);
        const kind = body.signature ?? signatureKindOf(body.secret ?? before.secrets[0]?.value ?? '');
        const secret = body.secret ?? makeSecret(before.profile, kind);
        checkRotation(before, { secret, kind, overlapSeconds: body.overlapSeconds });
        const overlapSeconds = body.overlapSeconds ?? overlapSecondsDefault;
        const changed = await store.changeSubscriber(id, (now) => ({
          secrets: rotated(now, secret, overlapSeconds, clock.now()),
        }));
        return { body: { ...view(changed), ...shownSecret(changed), warnings: [] } };
      },
    }),
  ];
}

function shownVerdict(verdict: HandshakeVerdict): z.infer<typeof handshakeView> {
  return verdict.kind === 'passed'
    ? { passed: true, message: 'The challenge was answered.', hint: '' }
    : { passed: false, message: verdict.message, hint: verdict.hint };
}

function checkRotation(
  { profile, secrets }: Subscriber,
  {
    secret,
    kind,
    overlapSeconds,
  }: { secret: string; kind: SignatureKind; overlapSeconds: number | undefined },
): void {
  const kindProblem = signatureProblem(profile, kind, secret);
  const problem = kindProblem === null ? secretProblem(profile, secret) : null;
  const problems = [
    ...(kindProblem === null ? [] : [{ path: 'signature', message: kindProblem }]),
    ...(problem === null ? [] : [{ path: 'secret', message: problem }]),
    ...(secrets[0]?.value === secret ? [{ path: 'secret', message: 'is the one that signs already' }] : []),
    ...(profile === 'fullscript' && (overlapSeconds ?? 0) > 0
      ? [{ path: 'overlapSeconds', message: 'must be 0: a fullscript request has exactly one signature' }]
      : []),
  ];
  const [first] = problems;
  if (first === undefined) return;
  throw new InvalidInput('invalid_body', 'The secret cannot be rotated like this.', {
    hint:
      first.path === 'overlapSeconds'
        ? 'Let the receiver accept a new secret of your own beside the old one, then rotate to it.'
        : 'Leave `secret` out to have one made.',
    problems,
  });
}

/** The new one first; the older ones go on for the overlap, or for what was left of theirs. */
function rotated(
  { profile, secrets }: Subscriber,
  secret: string,
  overlapSeconds: number,
  now: number,
): readonly SigningSecret[] {
  const current = { value: secret, expiresAt: null };
  if (profile === 'fullscript' || overlapSeconds === 0) return [current];
  const overlapEndsAt = now + overlapSeconds * 1000;
  const older = secrets
    .map(({ value, expiresAt }) => ({
      value,
      expiresAt: Math.min(expiresAt ?? overlapEndsAt, overlapEndsAt),
    }))
    .filter(({ value, expiresAt }) => expiresAt > now && value !== secret);
  return [current, ...older].slice(0, secretsMax);
}
