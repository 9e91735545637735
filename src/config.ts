import { join } from 'node:path';
import { z } from 'zod';
import { type Keys, keyProblems, keysOf } from './config/keys.ts';
import { substituted } from './config/substitution.ts';
import { type AllowEntry, parseAllowEntry } from './domain/allow-entry.ts';
import { clinicInput, httpUrl } from './domain/clinic-input.ts';
import { type EgressProxy, parseEgressProxy } from './domain/egress-proxy.ts';
import { InvalidInput, type Problem } from './domain/errors.ts';
import { inputWords } from './domain/input-words.ts';
import { categoryName, listsInput } from './domain/list-place.ts';
import { problemsOf } from './domain/problems-of.ts';
import { secretProblem, signatureKindOf } from './domain/signing-secret.ts';
import { startFromInput } from './domain/start-from.ts';
import { declaredSubscriberInput } from './domain/subscriber-input.ts';

export type { Keys } from './config/keys.ts';

/** Everything that is set, checked as a whole: whoever has a Config need not check again. */
export type Config = Omit<z.infer<typeof definition>, 'source' | 'delivery' | 'server'> & {
  readonly source: z.infer<typeof definition>['source'] & {
    readonly apiUrl: string;
    readonly redirectUri: string;
  };
  readonly server: z.infer<typeof definition>['server'] & { readonly host: string; readonly port: number };
  readonly delivery: Omit<z.infer<typeof definition>['delivery'], 'allow' | 'proxy'> & {
    readonly allow: readonly AllowEntry[];
    /** `null`: what may be dialled is dialled directly. */
    readonly proxy: EgressProxy | null;
  };
  readonly keys: Keys;
};

type Env = Readonly<Record<string, string | undefined>>;

/** Source: Fullscript, "Integration environments" (newest page). */
const apiUrls = {
  'us-sandbox': 'https://api-us-snd.fullscript.io/api',
  'ca-sandbox': 'https://api-ca-snd.fullscript.io/api',
  us: 'https://api-us.fullscript.com/api',
  ca: 'https://api-ca.fullscript.com/api',
} as const;

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

const definition = z.strictObject({
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

export interface LoadConfig {
  /** For messages, and what `readFile` is asked for. */
  readonly path: string;
  readonly env: Env;
  /** The text of a file. @throws when there is none */
  readonly readFile: (path: string) => string;
}

/**
 * Reads the configuration and the keys.
 *
 * @throws InvalidInput `config_invalid` naming every problem at once, each with its path.
 */
export function loadConfig({ path, env, readFile }: LoadConfig): Config {
  const { value: filled, problems: missing } = substituted(parseJson(path, readFile(path)), {
    env,
    readFile,
  });
  const problems = [...missing];
  const parsed = definition.safeParse(filled, { error: inputWords });
  if (!parsed.success) {
    const known = new Set(problems.map((problem) => problem.path));
    problems.push(...problemsOf(parsed.error, definition).filter(({ path }) => !known.has(path)));
  }
  problems.push(
    ...crossProblems(filled),
    ...keyProblems(env, madeStoreOf(filled, readFile)),
    ...environmentProblems(filled, env),
  );
  if (problems.length > 0 || !parsed.success) throw invalid(path, problems);
  const config = parsed.data;
  const base = (config.server.publicUrl ?? 'http://127.0.0.1:8080').replace(/\/+$/, '');
  return {
    ...config,
    source: {
      ...config.source,
      apiUrl: (config.source.apiUrl ?? apiUrls[config.source.environment]).replace(/\/+$/, ''),
      redirectUri: config.source.redirectUri ?? `${base}/oauth/callback`,
    },
    delivery: {
      ...config.delivery,
      allow: config.delivery.allow.map(parseAllowEntry).filter((entry) => entry.kind !== 'problem'),
      proxy: proxyOf(config.delivery.proxy),
    },
    server: {
      ...config.server,
      host: config.server.host ?? (present(env.PORT) ? '0.0.0.0' : '127.0.0.1'),
      port: present(env.PORT) ? Number(env.PORT) : (config.server.port ?? 8080),
    },
    keys: keysOf(env),
  };
}

function proxyOf(text: string | undefined): EgressProxy | null {
  if (text === undefined) return null;
  const proxy = parseEgressProxy(text);
  return proxy.kind === 'problem' ? null : proxy;
}

/** The JSON Schema of the file, for editors. */
export function configJsonSchema(): unknown {
  return z.toJSONSchema(definition, { io: 'input', unrepresentable: 'any' });
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw invalid(path, [{ path: '', message: `is not JSON${placeOf(error, text)}` }]);
  }
}

/** Where the parser stopped, if it says so; it may quote the file, and the file may hold secrets. */
function placeOf(error: unknown, text: string): string {
  const position = /position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1];
  return position === undefined ? '' : `: line ${text.slice(0, Number(position)).split('\n').length}`;
}

const noStore = { kind: 'file', path: './data' };
const noSource = { environment: '', apiUrl: '' };

/** As much as the checks across its parts need to know of a file that may have other mistakes. */
const outline = z
  .object({
    source: z.object({ environment: z.string().catch(''), apiUrl: z.string().catch('') }).catch(noSource),
    clinics: z.array(z.object({ name: z.string() }).catch({ name: '' })).catch([]),
    subscribers: z.array(z.object({ name: z.string() }).catch({ name: '' })).catch([]),
    store: z.object({ kind: z.string().catch('file'), path: z.string().catch('./data') }).catch(noStore),
  })
  .catch({ source: noSource, clinics: [], subscribers: [], store: noStore });

function crossProblems(given: unknown): readonly Problem[] {
  const { source, clinics, subscribers } = outline.parse(given);
  return [
    ...twice('clinics', clinics),
    ...twice('subscribers', subscribers),
    ...(isInClear(source)
      ? [{ path: 'source.apiUrl', message: 'must be https: the tokens of real clinics go there' }]
      : []),
  ];
}

function twice(list: string, items: readonly { readonly name: string }[]): readonly Problem[] {
  const names = items.map(({ name }) => name);
  return names.flatMap((name, index) => {
    const first = names.indexOf(name);
    return first === index || name === ''
      ? []
      : [{ path: `${list}[${index}].name`, message: `is the name of ${list}[${first}], too` }];
  });
}

/** A sandbox may be anywhere; what holds real patients is asked over TLS, or on this machine. */
function isInClear({ environment, apiUrl }: { environment: string; apiUrl: string }): boolean {
  if (environment.endsWith('-sandbox') || !URL.canParse(apiUrl)) return false;
  const { protocol, hostname } = new URL(apiUrl);
  return protocol === 'http:' && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}

/** The folder of a store that was made before, by which master key only its maker knows; `null` when there is none. */
function madeStoreOf(given: unknown, readFile: LoadConfig['readFile']): string | null {
  const { path } = outline.parse(given).store;
  try {
    readFile(join(path, 'keys.json'));
    return path;
  } catch (error) {
    const isThere = error instanceof InvalidInput && error.code !== 'file_missing';
    return isThere ? path : null;
  }
}

function environmentProblems(given: unknown, env: Env): readonly Problem[] {
  const problems: Problem[] = [];
  if (present(env.DYNO) && outline.parse(given).store.kind === 'file') {
    problems.push({
      path: 'store.kind',
      message:
        'is "file", and the disk of a Heroku dyno is lost at every restart; run the relay where its disk stays (a server, a container with a volume)',
    });
  }
  if (present(env.PORT) && !isPort(env.PORT)) {
    problems.push({ path: 'PORT', message: 'is set and is no port from 1 to 65535' });
  }
  return problems;
}

function isPort(text: string): boolean {
  return /^[1-9][0-9]{0,4}$/.test(text) && Number(text) <= 65_535;
}

function present(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}

function invalid(path: string, problems: readonly Problem[]): InvalidInput {
  const lines = problems.map(
    (problem) => `  ${problem.path === '' ? path : problem.path}: ${problem.message}`,
  );
  const count = problems.length === 1 ? 'one mistake' : `${problems.length} mistakes`;
  return new InvalidInput('config_invalid', `${path} has ${count}:\n${lines.join('\n')}`, {
    hint: 'Correct what is named, then try again; `relay check` looks without starting.',
    problems,
  });
}
