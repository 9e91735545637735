import { z } from 'zod';
import { parseAllowEntry } from '../domain/allow-entry.ts';
import { clinicInput, httpUrl } from '../domain/clinic-input.ts';
import { parseEgressProxy } from '../domain/egress-proxy.ts';
import { categoryName, listsInput } from '../domain/list-place.ts';
import { secretProblem, signatureKindOf } from '../domain/signing-secret.ts';
import { startFromInput } from '../domain/start-from.ts';
import { declaredSubscriberInput } from '../domain/subscriber-input.ts';

const categories = ['patients', 'orders', 'treatment_plans', 'lab_orders', 'products', 'clinic_keys'];

/** The vendor remembers 30 days, so an id is kept longer than that. */
const idsDaysMin = 31;

const secret = z.string().min(1, 'must not be empty');
const allowEntry = z.string().superRefine((text, context) => {
  const entry = parseAllowEntry(text);
  if (entry.kind === 'problem') context.addIssue({ code: 'custom', message: entry.message });
});

const egressProxy = z.string().superRefine((text, context) => {
  const proxy = parseEgressProxy(text);
  if (proxy.kind === 'problem') context.addIssue({ code: 'custom', message: proxy.message });
});

function signingProblem(secret: string): string | null {
  if (signatureKindOf(secret) === 'v1a')
    return 'must be whsec_ and base64: operational events are signed by v1';
  return secretProblem('standard', secret);
}

const whole = (min: number, max: number) =>
  z
    .number()
    .int('must be a whole number')
    .min(min, `must be ${min} or more`)
    .max(max, `must be ${max} or less`);

/** What `relay.config.json` may say, each part by itself. */
export const definition = z.strictObject({
  $schema: z.string().optional(),
  source: z
    .strictObject({
      environment: z.enum(['us-sandbox', 'us', 'ca-sandbox', 'ca']),
      apiUrl: httpUrl.optional(),
      redirectUri: httpUrl.optional(),
      clientId: secret,
      clientSecret: secret,
      categories: z.array(categoryName).min(1, 'must name one category at least').default(categories),
      lists: listsInput,
      requestsPerFiveMinutes: whole(1, 1_000_000).default(2500),
      pollSecondsMin: whole(1, 86_400).default(30),
      pollSecondsMax: whole(1, 86_400).default(900),
      overlapDays: whole(1, 30).default(2),
      sweepHours: whole(1, 720).default(24),
      startFrom: startFromInput.default('now'),
      shadow: z.boolean('must be true or false').default(false),
      webhooks: z.strictObject({ secret, challengeToken: secret.optional() }).optional(),
    })
    .superRefine(({ categories, lists }, context) => {
      for (const [at, name] of categories.entries()) {
        if (categories.indexOf(name) === at) continue;
        context.addIssue({ code: 'custom', path: ['categories', at], message: 'stands there twice' });
      }
      for (const name of Object.keys(lists).filter((name) => !categories.includes(name))) {
        context.addIssue({ code: 'custom', path: ['lists', name], message: 'is not among the categories' });
      }
    })
    .refine((source) => source.pollSecondsMin <= source.pollSecondsMax, {
      path: ['pollSecondsMin'],
      error: 'must not be more than pollSecondsMax',
    }),
  clinics: z.array(clinicInput).default([]),
  subscribers: z.array(declaredSubscriberInput).default([]),
  delivery: z
    .strictObject({
      timeoutMs: whole(100, 120_000).default(15_000),
      concurrency: whole(2, 10_000).default(64),
      concurrencyPerSubscriber: whole(1, 1_000).default(8),
      allow: z.array(allowEntry).default([]),
      allowPrivateAddresses: z.boolean().default(false),
      allowHttp: z.boolean().default(false),
      proxy: egressProxy.optional(),
    })
    .prefault({}),
  store: z
    .strictObject({
      kind: z
        .enum(['file', 'postgres'])
        .refine((kind) => kind === 'file', 'unsupported: only "file" is built yet'),
      path: z.string().min(1, 'must not be empty').default('./data'),
      url: z.never('unsupported: it belongs to the kind "postgres", which is not built yet').optional(),
    })
    .prefault({ kind: 'file' }),
  server: z
    .strictObject({
      host: z.string().min(1, 'must not be empty').optional(),
      port: whole(0, 65_535).optional(),
      publicUrl: httpUrl.optional(),
      trustProxy: z
        .union([z.literal(false), whole(1, 10)], 'must be false, or the number of proxies in front')
        .default(false),
    })
    .prefault({}),
  operationalEvents: z
    .strictObject({
      url: httpUrl,
      format: z.enum(['standard', 'slack']).default('standard'),
      secret: z.string().optional(),
    })
    .superRefine(({ format, secret }, context) => {
      const needed = 'is needed: `openssl rand -base64 32` makes one, whsec_ goes before it';
      const problem = secret === undefined ? needed : signingProblem(secret);
      if (problem === null || (secret === undefined && format === 'slack')) return;
      context.addIssue({ code: 'custom', path: ['secret'], message: problem });
    })
    .optional(),
  retention: z
    .strictObject({
      idsDays: whole(idsDaysMin, 3650).default(35),
      bodiesDays: whole(1, 3650).default(30),
      deliveriesDays: whole(1, 3650).default(90),
    })
    .prefault({}),
});
