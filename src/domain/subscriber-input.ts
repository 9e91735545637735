import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { isEventTypePattern } from './event.ts';
import { makeSecret, secretProblem, signatureProblem } from './signing-secret.ts';
import { startFromInput } from './start-from.ts';
import { headerNameProblem, headerValueProblem } from './static-headers.ts';
import { type Subscriber, untriedHealth } from './subscriber.ts';

const eventTypePattern = z.string().refine(isEventTypePattern, {
  error: 'is no event type: write `*`, a type such as order.placed, or everything below one, such as order.*',
});

const headersMax = 20;

const staticHeaders = z.record(z.string(), z.string()).superRefine((headers, context) => {
  const add = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
  const names = Object.keys(headers);
  if (names.length > headersMax) add([], `must be ${headersMax} headers at most`);
  if (new Set(names.map((name) => name.toLowerCase())).size < names.length)
    add([], 'must name each header once');
  for (const [name, value] of Object.entries(headers)) {
    const problem = headerNameProblem(name) ?? headerValueProblem(value);
    if (problem !== null) add([name], problem);
  }
});

const printable = /^[\x21-\x7e]+$/;

const all = z.strictObject({
  name: z
    .string()
    .regex(/^[^\p{C}]{1,100}$/u, 'must be 1 to 100 characters that can be shown')
    .refine((name) => name.trim() === name, 'must not begin or end with a space'),
  url: z.string().min(1, 'must not be empty').max(2048, 'must be 2,048 characters at most'),
  profile: z.enum(['fullscript', 'standard']).optional(),
  secret: z.string().optional(),
  signature: z.enum(['v1', 'v1a']).optional(),
  challengeToken: z
    .string()
    .min(8, 'must be 8 characters at least')
    .max(256, 'must be 256 characters at most')
    .regex(printable, 'must be printable ASCII without spaces')
    .optional(),
  challenge: z.literal(true, 'can only be true: one is made').optional(),
  eventTypes: z.array(eventTypePattern).max(100, 'must be 100 patterns at most').optional(),
  clinicIds: z
    .array(z.string().min(1, 'must not be empty').max(1024, 'must be 1,024 characters at most'))
    .max(1000, 'must be 1,000 clinics at most')
    .optional(),
  envelope: z.enum(['event', 'event_payload', 'both']).optional(),
  handshake: z.enum(['onRegistration', 'perEvent', 'off']).optional(),
  retrySeconds: z
    .array(z.number().int('must be whole seconds').min(0).max(604_800, 'must be a week at most'))
    .max(50, 'must be 50 waits at most')
    .nullish(),
  concurrency: z.number().int('must be a whole number').min(1).max(1000).nullish(),
  requestsPerSecond: z
    .number()
    .min(0.01, 'must be 0.01 at least: one request in 100 seconds')
    .max(1000, 'must be 1,000 at most')
    .nullish(),
  order: z.enum(['perClinic']).nullish(),
  jwt: z.boolean('must be true or false').optional(),
  thin: z.boolean('must be true or false').optional(),
  headers: staticHeaders.optional(),
  startFrom: startFromInput.optional(),
});

/** A subscriber as a person describes it: the same fields in the file and in the API. */
export const subscriberInput = all.superRefine(checkTogether);

/** In the file a secret is not made but given: it has to survive a restart. */
export const declaredSubscriberInput = all.required({ secret: true }).superRefine(checkTogether);

/** What may be changed afterwards; `null` takes a challenge token away, and goes back to the waits, slots, rate or order that nobody chose. */
export const subscriberChangeInput = all
  .omit({ challenge: true, secret: true })
  .extend({
    challengeToken: all.shape.challengeToken.nullable(),
    signature: z.never('is for a new subscriber: rotate-secret goes from one kind to the other'),
    startFrom: z.never('is for a new subscriber: POST /v1/backfills sends one of the past to an old one'),
  })
  .partial();

export type SubscriberInput = z.infer<typeof subscriberInput>;
export type SubscriberChangeInput = z.infer<typeof subscriberChangeInput>;

function checkTogether(input: z.infer<typeof all>, context: z.RefinementCtx): void {
  const { secret, signature, profile = 'fullscript' } = input;
  const add = (path: string, message: string | null) => {
    if (message !== null) context.addIssue({ code: 'custom', path: [path], message });
  };
  if (secret !== undefined) add('secret', secretProblem(profile, secret));
  if (signature !== undefined) add('signature', signatureProblem(profile, signature, secret));
  if (input.challenge && input.challengeToken !== undefined) {
    add('challenge', 'stands beside challengeToken: give one of them');
  }
}

function makeChallengeToken(): string {
  return randomBytes(24).toString('base64url');
}

/**
 * The id of a subscriber that stands in the configuration file: its unique name decides.
 *
 * @param deletedBefore how many of that name were deleted: a name that comes back is a new subscriber.
 */
export function declaredSubscriberId(name: string, deletedBefore: number): string {
  const digest = createHash('sha256')
    .update(JSON.stringify(['declared', name, deletedBefore]))
    .digest('hex');
  return `sub_${digest.slice(0, 24)}`;
}

/** A subscriber that has received nothing yet; what the input leaves out gets its default. */
export function newSubscriber(
  input: SubscriberInput,
  about: Pick<Subscriber, 'id' | 'owner' | 'isDeclared' | 'pauseReasons' | 'createdAt'>,
): Subscriber {
  const profile = input.profile ?? 'fullscript';
  const challengeToken = input.challengeToken ?? (input.challenge ? makeChallengeToken() : null);
  return {
    ...about,
    name: input.name,
    url: input.url,
    profile,
    secrets: [{ value: input.secret ?? makeSecret(profile, input.signature), expiresAt: null }],
    challengeToken,
    eventTypes: input.eventTypes ?? [],
    clinicIds: input.clinicIds ?? [],
    envelope: input.envelope ?? 'event',
    handshake: input.handshake ?? (profile === 'fullscript' ? 'onRegistration' : 'off'),
    retrySeconds: input.retrySeconds ?? null,
    concurrency: input.concurrency ?? null,
    requestsPerSecond: input.requestsPerSecond ?? null,
    order: input.order ?? null,
    jwt: input.jwt ?? false,
    thin: input.thin ?? false,
    headers: input.headers ?? {},
    pausedAt: null,
    health: untriedHealth,
    revision: 1,
    sequence: 0,
    deletedAt: null,
  };
}

/** A handshake is owed before anything is sent: there is a token to ask for, and it was not switched off. */
export function owesHandshake(subscriber: Pick<Subscriber, 'challengeToken' | 'handshake'>): boolean {
  return subscriber.challengeToken !== null && subscriber.handshake !== 'off';
}

/** It is asked again before every attempt, as Fullscript does by one version of its page. */
export function owesHandshakePerEvent(subscriber: Pick<Subscriber, 'challengeToken' | 'handshake'>): boolean {
  return subscriber.challengeToken !== null && subscriber.handshake === 'perEvent';
}

/** What was asked before says nothing about it any more: another endpoint, another token, another format. */
export function isHandshakeStale(before: Subscriber, after: Subscriber): boolean {
  return (
    after.url !== before.url ||
    after.challengeToken !== before.challengeToken ||
    after.profile !== before.profile ||
    (after.handshake !== before.handshake && !owesHandshake(before))
  );
}
