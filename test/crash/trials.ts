import type { Doom, Step } from './doom.ts';
import type { RareDeed } from './rare-deeds.ts';

/** What makes a point come by: the process's start, its ordinary work, or something that is asked of it. */
export type Deed =
  | 'start'
  | 'work'
  | 'new day'
  | 'retention'
  | 'audit'
  | 'secret rotation'
  | 'key rotation'
  | 'backup'
  | 'stop'
  | 'memory'
  | RareDeed;

/** What is tried: a point of the matrix, and how the process fails there. */
export interface Trial {
  /** As it is printed. */
  readonly title: string;
  /** Where the doom is met, by the names of `named-points.ts`. */
  readonly point: string;
  readonly deed: Deed;
  /** `any`: at no point of the disk. */
  readonly step: Step | 'any';
  readonly when: Doom['when'];
  /** The point that has to come by before. */
  readonly since?: string;
  /** Which time it comes by; any of the first few when left out. */
  readonly nth?: number;
  /** `null`: killed. */
  readonly error: string | null;
  /** What the process does about the error. */
  readonly then?: 'ends' | 'goes on';
}

type Moment = readonly [Step, Doom['when']];
type Place = Pick<Trial, 'point'> & Partial<Pick<Trial, 'title' | 'deed' | 'since' | 'nth'>>;

function kills(place: Place, moments: readonly Moment[]): Trial[] {
  const { title = place.point, deed = 'work' } = place;
  return moments.map(([step, when]) => ({ ...place, title, deed, step, when, error: null }));
}

const beforeSync: Moment = ['sync', 'before'];
const aroundWriteAndSync: readonly Moment[] = [
  ['write', 'before'],
  ['write', 'torn'],
  ['write', 'after'],
  beforeSync,
  ['sync', 'after'],
];
const aroundReplacing: readonly Moment[] = [
  ['write', 'before'],
  ['write', 'torn'],
  ['write', 'after'],
  ['rename', 'before'],
  ['rename', 'after'],
];
const around = (step: Step): readonly Moment[] => [
  [step, 'before'],
  [step, 'after'],
];

const inJournal = [
  'record',
  'claim',
  'attempt',
  'poll',
  'refresh',
  'registration',
  'replay',
  'job',
  'budget',
  'token revoked',
  'set aside',
] as const;

/** What retention writes, in its order. */
const ofRetention = [
  'retention',
  'deliveries gone',
  'ids gone',
  'body moved',
  'excerpt moved',
  'bodies gone',
] as const;
const inRetention = { deed: 'retention', since: 'bodies gone' } as const;

/** What is asked now and then, and what it writes. */
const rare: readonly (readonly [RareDeed, ...points: string[]])[] = [
  ['erasure', 'erasure', 'file gone'],
  ['backfill', 'backfill'],
  ['seen import', 'seen import'],
  ['push', 'push'],
  ['fetch again', 'fetched again'],
  ['token keys', 'token key', 'token key gone'],
  ['removal', 'skip or delete'],
  ['clinic pause', 'clinic'],
  ['disconnection', 'disconnection', 'revocation', 'revocation gone'],
  ['link', 'link'],
  ['old audits', 'job gone'],
];
const ofErasure = { deed: 'erasure', since: 'erasure' } as const;

/** Every durable step, killed before it, in the middle of it and after it. */
export const killTrials: readonly Trial[] = [
  ...inJournal.flatMap((point) => kills({ point }, aroundWriteAndSync)),
  ...kills({ point: 'bodies' }, aroundWriteAndSync),
  ...kills({ point: 'new part', deed: 'start' }, aroundWriteAndSync),
  ...kills({ point: 'checkpoint', deed: 'start' }, aroundReplacing),
  ...kills({ point: 'keys', deed: 'start' }, aroundReplacing),
  ...kills({ point: 'rewritten tail', deed: 'start' }, around('write')),
  ...kills({ point: 'folder', deed: 'start' }, around('sync folder')),
  ...kills({ title: 'day cut', point: 'new part', deed: 'new day' }, aroundWriteAndSync),
  ...kills({ title: 'day cut, keys', point: 'keys', deed: 'new day' }, aroundReplacing),
  ...kills({ title: 'closed part, checkpoint', point: 'checkpoint', deed: 'new day' }, aroundReplacing),
  ...kills({ title: 'closed part, index', point: 'index', deed: 'new day' }, [
    ...aroundWriteAndSync,
    ...around('rename'),
  ]),
  ...kills({ title: 'stop, checkpoint', point: 'checkpoint', deed: 'stop' }, aroundReplacing),
  ...ofRetention.flatMap((point) => kills({ point, deed: 'retention' }, aroundWriteAndSync)),
  ...kills({ title: 'dropped key', point: 'keys', ...inRetention }, aroundReplacing),
  ...kills({ title: 'removed bodies', point: 'bodies', ...inRetention }, around('remove')),
  ...kills({ title: 'removed bodies', point: 'folder', ...inRetention }, around('sync folder')),
  ...kills({ title: 'audit begun', point: 'job', deed: 'audit', nth: 1 }, aroundWriteAndSync),
  ...kills({ title: 'audit, missing', point: 'job', deed: 'audit', nth: 2 }, aroundWriteAndSync),
  ...kills({ title: 'audit, repair', point: 'record', deed: 'audit', nth: 1 }, aroundWriteAndSync),
  ...rare.flatMap(([deed, ...points]) =>
    points.flatMap((point) => kills({ point, deed }, aroundWriteAndSync)),
  ),
  ...kills({ title: 'erasure, body moved', point: 'body moved', ...ofErasure }, aroundWriteAndSync),
  ...kills({ title: 'erasure, new file', point: 'bodies', ...ofErasure }, aroundWriteAndSync),
  ...kills({ title: 'erasure, new key', point: 'keys', ...ofErasure }, aroundReplacing),
  ...kills(
    { title: 'erasure, dropped key', point: 'keys', deed: 'erasure', since: 'file gone' },
    aroundReplacing,
  ),
  ...kills(
    { title: 'erasure, removed file', point: 'bodies', deed: 'erasure', since: 'file gone' },
    around('remove'),
  ),
  ...kills({ title: 'secret rotation', point: 'registration', deed: 'secret rotation' }, aroundWriteAndSync),
  ...kills({ title: 'key rotation', point: 'keys', deed: 'key rotation' }, aroundReplacing),
  ...kills({ point: 'backup', deed: 'backup' }, [...aroundWriteAndSync, ...around('rename')]),
  { title: 'heap limit', point: 'memory', deed: 'memory', step: 'any', when: 'after', error: null },
  { title: 'any moment', point: 'any moment', deed: 'work', step: 'any', when: 'after', error: null },
];

/** What a full disk says; it is waited for. */
export const full: readonly string[] = ['ENOSPC', 'EDQUOT'];
const broken = ['EIO', 'EROFS', 'EMFILE'] as const;

function errors(place: Place, found: readonly (readonly [string, Moment])[], then?: Trial['then']): Trial[] {
  return found.flatMap(([error, moment]) =>
    kills(place, [moment]).map((trial) => ({ ...trial, error, ...(then && { then }) })),
  );
}

const ofFiles: readonly (readonly [string, Moment])[] = [
  ['ENOSPC', ['write', 'torn']],
  ['EDQUOT', ['write', 'torn']],
  ['EIO', ['write', 'torn']],
];

/** Every kind of error at each kind of step. */
export const errorTrials: readonly Trial[] = [
  ...['record', 'attempt', 'claim', 'poll', 'registration', 'bodies'].flatMap((point) =>
    errors({ point }, [
      ...full.map((error) => [error, ['write', 'before']] as const),
      ['ENOSPC', ['write', 'torn']],
      ...broken.map((error) => [error, ['write', 'before']] as const),
      ['EIO', beforeSync],
      ['ENOSPC', beforeSync],
    ]),
  ),
  ...['checkpoint', 'keys', 'new part'].flatMap((point) => errors({ point, deed: 'start' }, ofFiles)),
  ...errors({ point: 'checkpoint', deed: 'start' }, [['EIO', ['rename', 'before']]]),
  ...errors({ point: 'folder', deed: 'start' }, [['EIO', ['sync folder', 'before']]]),
  ...ofRetention.flatMap((point) =>
    errors({ point, deed: 'retention' }, [
      ['ENOSPC', ['write', 'torn']],
      ['EIO', ['write', 'before']],
      ['EIO', beforeSync],
    ]),
  ),
  // What could not be taken away is tried again at the next look.
  ...errors(
    { title: 'dropped key', point: 'keys', ...inRetention },
    [
      ['ENOSPC', ['write', 'torn']],
      ['EIO', ['rename', 'before']],
    ],
    'goes on',
  ),
  ...errors(
    { title: 'removed bodies', point: 'bodies', ...inRetention },
    [['EIO', ['remove', 'before']]],
    'goes on',
  ),
  ...errors({ title: 'day cut', point: 'new part', deed: 'new day' }, [
    ['ENOSPC', ['write', 'torn']],
    ['EIO', beforeSync],
  ]),
  ...errors(
    { title: 'closed part, checkpoint', point: 'checkpoint', deed: 'new day' },
    [['ENOSPC', ['write', 'torn']]],
    'goes on',
  ),
  ...errors({ title: 'closed part, checkpoint', point: 'checkpoint', deed: 'new day' }, [
    ['EIO', ['rename', 'before']],
  ]),
  ...errors(
    { title: 'closed part, index', point: 'index', deed: 'new day' },
    [['ENOSPC', ['write', 'torn']]],
    'goes on',
  ),
  ...errors({ title: 'closed part, index', point: 'index', deed: 'new day' }, [
    ['EIO', beforeSync],
    ['EIO', ['rename', 'before']],
  ]),
  ...rare.flatMap(([deed, ...points]) =>
    points.flatMap((point) =>
      errors({ point, deed }, [
        ['ENOSPC', ['write', 'torn']],
        ['EIO', beforeSync],
      ]),
    ),
  ),
  ...errors({ title: 'erasure, new file', point: 'bodies', ...ofErasure }, [
    ['ENOSPC', ['write', 'torn']],
    ['EIO', ['write', 'before']],
    ['EIO', beforeSync],
  ]),
  ...errors(
    { title: 'erasure, removed file', point: 'bodies', deed: 'erasure', since: 'file gone' },
    [['EIO', ['remove', 'before']]],
    'goes on',
  ),
  ...errors({ title: 'key rotation', point: 'keys', deed: 'key rotation' }, ofFiles),
  ...errors(
    { point: 'backup', deed: 'backup' },
    [...ofFiles, ['EIO', beforeSync], ['EIO', ['rename', 'before']]],
    'goes on',
  ),
];

export function nameOf({ title, step, when, error }: Trial): string {
  if (step === 'any') return title;
  const cut = error === null && step === 'sync' && when === 'before' ? ', power cut' : '';
  return `${title}: ${error === null ? '' : `${error} `}${when === 'torn' ? 'half of' : when} ${step}${cut}`;
}
