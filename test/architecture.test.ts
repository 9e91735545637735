import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { expect, test } from 'vitest';

/** An import only goes down. Rooms on one floor do not import each other, except as `beside` says. */
const floors: Readonly<Record<string, number>> = {
  'cli/': 5,
  'main.ts': 4,
  'main/': 4,
  'api/': 3,
  'source/': 2,
  'delivery/': 2,
  'sandbox/': 2,
  'operations/': 2,
  'store/': 1,
  'client/': 1,
  'receiver/': 1,
  'config.ts': 1,
  'config/': 1,
  'domain/': 0,
  'wire/': 0,
  'logger.ts': 0,
  'clock.ts': 0,
};

const beside: readonly (readonly [room: string, mayImport: string])[] = [
  ['wire/', 'domain/'],
  ['config.ts', 'config/'],
  ['main.ts', 'main/'],
];

/** Where each package lives; what is not named here may be used above the ground floor only by who is named. */
const homes: Readonly<Record<string, readonly string[]>> = {
  express: ['api/', 'sandbox/'],
  'express-rate-limit': ['api/'],
  helmet: ['api/app.ts'],
  jsonwebtoken: ['api/auth.ts', 'wire/relay-signature.ts'],
  got: ['source/events-api.ts', 'source/oauth.ts', 'source/vendor-http.ts'],
  lowdb: ['store/file/checkpoint.ts'],
  'eventsource-parser': ['client/listen.ts'],
  'p-queue': ['delivery/dispatcher.ts', 'source/budget.ts'],
  pino: ['logger.ts'],
  commander: ['cli/'],
  zod: ['config.ts', 'config/', 'api/', 'domain/', 'sandbox/'],
};

const root = resolve(import.meta.dirname, '../src');

interface Import {
  readonly from: string;
  /** A path below src, or a package's name. */
  readonly to: string;
  readonly isPackage: boolean;
}

const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.split(sep).join('/'));

const importShape = /^(?:import|export)\b[^;]*?\bfrom '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm;

const imports: readonly Import[] = files.flatMap((from) =>
  [...readFileSync(join(root, from), 'utf8').matchAll(importShape)]
    .map((match) => (match[1] ?? match[2] ?? match[3]) as string)
    .filter((specifier) => !specifier.startsWith('node:'))
    .map((specifier) => {
      if (!specifier.startsWith('.')) return { from, to: specifier, isPackage: true };
      const to = relative(root, resolve(root, dirname(from), specifier))
        .split(sep)
        .join('/');
      return { from, to, isPackage: false };
    }),
);

function roomOf(file: string): string {
  const room = Object.keys(floors).find(
    (name) => file === name || (name.endsWith('/') && file.startsWith(name)),
  );
  if (room === undefined) throw new Error(`${file} is in no room: add it to the map of the house`);
  return room;
}

test('there is something to hold to the rules', () => {
  expect(files.length).toBeGreaterThan(40);
  expect(imports.length).toBeGreaterThan(100);
});

test('an import only goes down, and rooms on one floor do not import each other', () => {
  const wrong = imports.filter(({ from, to, isPackage }) => {
    if (isPackage) return false;
    const [upper, lower] = [roomOf(from), roomOf(to)];
    if (upper === lower) return false;
    if (beside.some(([room, mayImport]) => upper === room && lower === mayImport)) return false;
    return (floors[upper] ?? 0) <= (floors[lower] ?? 0);
  });
  expect(wrong.map(({ from, to }) => `${from} → ${to}`)).toEqual([]);
});

test('only main.ts, main/ and the command line see the configuration, and only the first two a concrete store', () => {
  const composes = new Set(['main.ts', 'main/']);
  const wrong = imports.filter(({ from, to }) => {
    const room = roomOf(from);
    if (to === 'config.ts') return !composes.has(room) && room !== 'cli/';
    if (to.startsWith('store/file/')) return !composes.has(room) && !from.startsWith('store/file/');
    return false;
  });
  expect(wrong.map(({ from, to }) => `${from} → ${to}`)).toEqual([]);
});

test('no file imports itself by a circle, types included', () => {
  const next = new Map<string, string[]>();
  for (const { from, to, isPackage } of imports) {
    if (!isPackage) next.set(from, [...(next.get(from) ?? []), to]);
  }
  const circles: string[] = [];
  const done = new Set<string>();
  const walk = (file: string, path: readonly string[]): void => {
    const seenAt = path.indexOf(file);
    if (seenAt !== -1) {
      circles.push([...path.slice(seenAt), file].join(' → '));
      return;
    }
    if (done.has(file)) return;
    for (const to of next.get(file) ?? []) walk(to, [...path, file]);
    done.add(file);
  };
  for (const file of files) walk(file, []);
  expect(circles).toEqual([]);
});

test('each package has its home', () => {
  const wrong = imports.filter(({ from, to, isPackage }) => {
    if (!isPackage) return false;
    const home = homes[to];
    return !home?.some((place) => from === place || (place.endsWith('/') && from.startsWith(place)));
  });
  expect(wrong.map(({ from, to }) => `${to} in ${from}`)).toEqual([]);
});

test('the ground floor does no I/O', () => {
  const allowed = new Set(['node:crypto', 'node:timers', 'node:net']);
  const wrong = files
    .filter((file) => floors[roomOf(file)] === 0)
    .flatMap((file) =>
      [...readFileSync(join(root, file), 'utf8').matchAll(/from '(node:[^']+)'/g)]
        .filter((match) => !allowed.has(match[1] as string))
        .map((match) => `${file}: ${match[1]}`),
    );
  expect(wrong).toEqual([]);
});

test('no file of src reads the clock or throws dice for itself', () => {
  const mayRead = ['clock.ts', 'main.ts', 'cli/'];
  const wrong = files.filter((file) => {
    if (mayRead.some((place) => file === place || (place.endsWith('/') && file.startsWith(place))))
      return false;
    return /\bDate\.now\(|new Date\(\)|performance\.now\(|Math\.random\(|\bsetTimeout\(|\bsetInterval\(/.test(
      readFileSync(join(root, file), 'utf8'),
    );
  });
  expect(wrong).toEqual([]);
});
