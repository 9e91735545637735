import { z } from 'zod';
import { type AllowEntry, parseAllowEntry } from './domain/allow-entry.ts';
import { clinicInput, httpUrl } from './domain/clinic-input.ts';
import { InvalidInput, type Problem } from './domain/errors.ts';
import { problemsOf } from './domain/problems-of.ts';
import { subscriberInput } from './domain/subscriber-input.ts';

/** Everything that is set, checked as a whole: whoever has a Config need not check again. */
export type Config = Omit<z.infer<typeof definition>, 'source' | 'delivery' | 'server'> & {
  readonly source: z.infer<typeof definition>['source'] & {
    readonly apiUrl: string;
    readonly redirectUri: string;
  };
  readonly server: z.infer<typeof definition>['server'] & { readonly host: string; readonly port: number };
  readonly delivery: Omit<z.infer<typeof definition>['delivery'], 'allow'> & {
    readonly allow: readonly AllowEntry[];
  };
  readonly keys: Keys;
};

export interface Keys {
  /** 32 bytes. */
  readonly masterKey: Buffer;
  readonly previousMasterKey: Buffer | null;
  readonly jwtSecret: string | null;
  /** PEM texts of an ES256 pair; instead of a secret. */
  readonly jwtKeyPair: { readonly privateKey: string; readonly publicKey: string } | null;
}

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
const startFrom = z
  .string()
  .refine(
    (text) => readStartFrom(text) !== null,
    'must be "now", a length of time such as 30d or 12h, or an instant',
  );

const allowEntry = z.string().superRefine((text, context) => {
  const entry = parseAllowEntry(text);
  if (entry.kind === 'problem') context.addIssue({ code: 'custom', message: entry.message });
});

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
      categories: z
        .array(z.string().regex(/^[a-z0-9_]{1,64}$/, 'must be the name of a list, such as orders'))
        .min(1, 'must name one category at least')
        .default(categories),
      requestsPerFiveMinutes: whole(1, 1_000_000).default(2500),
      pollSecondsMin: whole(1, 86_400).default(30),
      pollSecondsMax: whole(1, 86_400).default(900),
      overlapDays: whole(1, 30).default(2),
      sweepHours: whole(1, 720).default(24),
      startFrom: startFrom.default('now'),
    })
    .refine((source) => source.pollSecondsMin <= source.pollSecondsMax, {
      path: ['pollSecondsMin'],
      error: 'must not be more than pollSecondsMax',
    }),
  clinics: z.array(clinicInput).default([]),
  subscribers: z.array(subscriberInput.and(z.object({ secret }))).default([]),
  delivery: z
    .strictObject({
      timeoutMs: whole(100, 120_000).default(15_000),
      concurrency: whole(2, 10_000).default(64),
      concurrencyPerSubscriber: whole(1, 1_000).default(8),
      allow: z.array(allowEntry).default([]),
      allowPrivateAddresses: z.boolean().default(false),
      allowHttp: z.boolean().default(false),
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
  const problems: Problem[] = [];
  const raw = parseJson(path, readFile(path));
  const filled = substituted(raw, '', { env, readFile, problems });
  const parsed = definition.safeParse(filled);
  if (!parsed.success) {
    const known = new Set(problems.map((problem) => problem.path));
    problems.push(...problemsOf(parsed.error, definition).filter(({ path }) => !known.has(path)));
  }
  problems.push(...keyProblems(env));
  if (parsed.success) problems.push(...crossProblems(parsed.data), ...environmentProblems(parsed.data, env));
  if (problems.length > 0 || !parsed.success) throw invalid(path, problems);
  const config = parsed.data;
  const { publicUrl } = config.server;
  return {
    ...config,
    source: {
      ...config.source,
      apiUrl: (config.source.apiUrl ?? apiUrls[config.source.environment]).replace(/\/+$/, ''),
      redirectUri: config.source.redirectUri ?? `${publicUrl ?? 'http://127.0.0.1:8080'}/oauth/callback`,
    },
    delivery: {
      ...config.delivery,
      allow: config.delivery.allow.map(parseAllowEntry).filter((entry) => entry.kind !== 'problem'),
    },
    server: {
      ...config.server,
      host: config.server.host ?? (present(env.PORT) ? '0.0.0.0' : '127.0.0.1'),
      port: present(env.PORT) ? Number(env.PORT) : (config.server.port ?? 8080),
    },
    keys: keysOf(env),
  };
}

/** The JSON Schema of the file, for editors. */
export function configJsonSchema(): unknown {
  return z.toJSONSchema(definition, { io: 'input', unrepresentable: 'any' });
}

/** Milliseconds before now (`{agoMs: 0}` is now), or an instant; `null` when the text is neither. */
export function readStartFrom(text: string): { readonly agoMs: number } | { readonly at: number } | null {
  if (text === 'now') return { agoMs: 0 };
  const [, amount, unit] = /^(\d{1,5})([dhm])$/.exec(text) ?? [];
  if (amount !== undefined) {
    const unitMs = { d: 86_400_000, h: 3_600_000, m: 60_000 }[unit as 'd' | 'h' | 'm'];
    return { agoMs: Number(amount) * unitMs };
  }
  const instant = z.iso.datetime({ offset: true }).safeParse(text);
  return instant.success ? { at: Date.parse(instant.data) } : null;
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    const why = error instanceof Error ? error.message : 'it cannot be read';
    throw invalid(path, [{ path: '', message: `is not JSON: ${why}` }]);
  }
}

interface Substitution {
  readonly env: Env;
  readonly readFile: (path: string) => string;
  readonly problems: Problem[];
}

/** Puts `${NAME}` and `${file:/path}` in, in every string. */
function substituted(value: unknown, path: string, from: Substitution): unknown {
  if (typeof value === 'string') {
    return value.replace(/\$\{([^}]*)\}/g, (_, name: string) => substitute(name, path, from));
  }
  if (Array.isArray(value)) return value.map((item, index) => substituted(item, `${path}[${index}]`, from));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      substituted(item, path === '' ? key : `${path}.${key}`, from),
    ]),
  );
}

function substitute(name: string, path: string, { env, readFile, problems }: Substitution): string {
  if (name.startsWith('file:')) {
    const file = name.slice('file:'.length);
    try {
      return readFile(file).replace(/\r?\n$/, '');
    } catch {
      problems.push({ path, message: `the file ${file} cannot be read` });
      return '';
    }
  }
  const value = env[name];
  if (present(value)) return value;
  problems.push({
    path,
    message: `the environment variable ${name} is not set; \`relay init\` writes a .env`,
  });
  return '';
}

function crossProblems(config: z.infer<typeof definition>): readonly Problem[] {
  return [
    ...twice(
      config.clinics.map(({ name }) => name),
      'clinics',
    ),
    ...twice(
      config.subscribers.map(({ name }) => name),
      'subscribers',
    ),
  ];
}

function twice(names: readonly string[], list: string): readonly Problem[] {
  return names.flatMap((name, index) => {
    const first = names.indexOf(name);
    return first === index
      ? []
      : [{ path: `${list}[${index}].name`, message: `is the name of ${list}[${first}], too` }];
  });
}

function environmentProblems(config: z.infer<typeof definition>, env: Env): readonly Problem[] {
  const problems: Problem[] = [];
  if (present(env.DYNO) && config.store.kind === 'file') {
    problems.push({
      path: 'store.kind',
      message: 'is "file", and the disk of a Heroku dyno is lost at every restart; use the PostgreSQL store',
    });
  }
  if (
    present(env.PORT) &&
    !/^([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])$/.test(env.PORT)
  ) {
    problems.push({ path: 'PORT', message: 'is set and is no port from 1 to 65535' });
  }
  return problems;
}

const jwtSecretBytesMin = 32;
const placeholders = /^(change-?me|secret|password|example|your[-_ ].*)$/i;

function keyProblems(env: Env): readonly Problem[] {
  const problems: Problem[] = [];
  const init = '`relay init` writes a .env with fresh keys';
  if (!present(env.RELAY_MASTER_KEY)) {
    problems.push({ path: 'RELAY_MASTER_KEY', message: `is not set; ${init}` });
  } else if (masterKeyOf(env.RELAY_MASTER_KEY) === null) {
    problems.push({ path: 'RELAY_MASTER_KEY', message: `must be 32 bytes in base64; ${init}` });
  }
  if (present(env.RELAY_MASTER_KEY_PREVIOUS) && masterKeyOf(env.RELAY_MASTER_KEY_PREVIOUS) === null) {
    problems.push({ path: 'RELAY_MASTER_KEY_PREVIOUS', message: 'must be 32 bytes in base64' });
  }
  const jwtSecret = env.RELAY_JWT_SECRET;
  if (present(jwtSecret)) {
    if (
      Buffer.byteLength(jwtSecret) < jwtSecretBytesMin ||
      placeholders.test(jwtSecret) ||
      isMonotonous(jwtSecret)
    ) {
      problems.push({
        path: 'RELAY_JWT_SECRET',
        message: `must be ${jwtSecretBytesMin} random bytes at least; ${init}`,
      });
    } else if (jwtSecret === env.RELAY_MASTER_KEY) {
      problems.push({ path: 'RELAY_JWT_SECRET', message: 'must not be the master key' });
    }
  } else if (!present(env.RELAY_JWT_PRIVATE_KEY) || !present(env.RELAY_JWT_PUBLIC_KEY)) {
    problems.push({ path: 'RELAY_JWT_SECRET', message: `is not set; ${init}` });
  }
  if (env.NODE_TLS_REJECT_UNAUTHORIZED === '0') {
    problems.push({
      path: 'NODE_TLS_REJECT_UNAUTHORIZED',
      message: 'is 0, which switches certificate checks off; use NODE_EXTRA_CA_CERTS for a private authority',
    });
  }
  return problems;
}

/** Repeats a few characters: nobody's random bytes. */
function isMonotonous(text: string): boolean {
  return new Set(text).size < 8;
}

function keysOf(env: Env): Keys {
  const { RELAY_JWT_PRIVATE_KEY: privateKey, RELAY_JWT_PUBLIC_KEY: publicKey } = env;
  return {
    masterKey: masterKeyOf(env.RELAY_MASTER_KEY ?? '') ?? Buffer.alloc(0),
    previousMasterKey: masterKeyOf(env.RELAY_MASTER_KEY_PREVIOUS ?? ''),
    jwtSecret: present(env.RELAY_JWT_SECRET) ? env.RELAY_JWT_SECRET : null,
    jwtKeyPair: present(privateKey) && present(publicKey) ? { privateKey, publicKey } : null,
  };
}

function masterKeyOf(text: string): Buffer | null {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text.trim())) return null;
  return Buffer.from(text.trim(), 'base64');
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
