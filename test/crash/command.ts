import { parseArgs } from 'node:util';
import { casesOf } from './cases.ts';
import { type Row, runTrials } from './matrix.ts';
import { type DiskRow, tryRealDisks } from './real-disks.ts';
import { builtRelay, killAll } from './relay.ts';
import { errorTrials, killTrials, nameOf, type Trial } from './trials.ts';

const usage = `npm run test:crash -- [--kills N] [--errors N] [--seed S] [--jobs J] [--only POINT]

  --kills N     at least so many kills of the relay's process, over all points (500)
  --errors N    at least so many errors of the disk (150)
  --disks N     times that each trouble comes to a real disk: filled up, without power (5)
  --seed S      decides the events and the moments (1)
  --jobs J      data folders at once (2)
  --only POINT  only the trials whose name begins so
`;

/** What chance left out is tried so often again before it counts as never met. */
const againMax = 3;

interface Asked {
  readonly kills: number;
  readonly errors: number;
  readonly disks: number;
  readonly seed: number;
  readonly jobs: number;
  readonly only: string;
}

/**
 * Kills the real relay at every durable step and breaks its disk, and prints the matrix.
 *
 * @returns the exit code: 1 when anything was lost or wrong, or a point was never met.
 */
export async function command(args: readonly string[]): Promise<number> {
  let asked: Asked;
  try {
    asked = readArguments(args);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${usage}`);
    return 2;
  }
  const isWanted = (trial: Trial) => nameOf(trial).startsWith(asked.only);
  const trials = [
    ...repeated(killTrials.filter(isWanted), asked.kills),
    ...repeated(errorTrials.filter(isWanted), asked.errors),
  ];
  const relay = await builtRelay();
  const rows = new Map<string, Row>();
  let diskRows: readonly DiskRow[] = [];
  let done = 0;
  const tryAll = (some: readonly Trial[], seed: number) =>
    Promise.all(
      Array.from({ length: asked.jobs }, (_, job) =>
        runTrials({
          program: relay.path,
          seed: seed + job,
          trials: some.filter((_, index) => index % asked.jobs === job),
          onTried(row, faults) {
            add(rows, row);
            done += 1;
            for (const fault of faults) process.stdout.write(`${nameOf(row.trial)}: ${fault}\n`);
            if (done % 50 === 0) process.stdout.write(`${done} of ${trials.length}\n`);
          },
        }),
      ),
    );
  whenBrokenOff(() => printed([...rows.values()], diskRows));
  try {
    await tryAll(trials, asked.seed);
    for (let again = 1; again <= againMax; again++) {
      const unmet = [...rows.values()].filter(({ met }) => met === 0).map(({ trial }) => trial);
      // Twice in each folder: some need one that has grown older.
      const tries = unmet.flatMap((trial) => Array.from({ length: 2 * asked.jobs }, () => trial));
      await tryAll(tries, asked.seed + again * asked.jobs);
    }
    if (asked.disks > 0) diskRows = await realDisks(relay.path, asked);
  } finally {
    relay.discard();
  }
  return printed([...rows.values()], diskRows);
}

/** Whoever breaks it off gets what was tried until then, and finds no process, mount or folder of it left. */
function whenBrokenOff(print: () => void): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      killAll();
      print();
      // Mounts, folders and the built program go as the process ends.
      process.exit(signal === 'SIGINT' ? 130 : 143);
    });
  }
}

function realDisks(program: string, { seed, disks, only }: Asked): Promise<readonly DiskRow[]> {
  return tryRealDisks({
    program,
    seed,
    times: disks,
    only,
    onFault: (fault) => process.stdout.write(`${fault}\n`),
    onSkipped: (disk, why) => process.stdout.write(`${disk} skipped: ${why}\n`),
  });
}

function readArguments(args: readonly string[]): Asked {
  const { values } = parseArgs({
    args: [...args],
    options: {
      kills: { type: 'string', default: '500' },
      errors: { type: 'string', default: '150' },
      disks: { type: 'string', default: '5' },
      seed: { type: 'string', default: '1' },
      jobs: { type: 'string', default: '2' },
      only: { type: 'string', default: '' },
    },
  });
  const whole = (name: 'kills' | 'errors' | 'disks' | 'seed' | 'jobs') => {
    const number = Number(values[name]);
    if (!Number.isInteger(number) || number < (name === 'jobs' ? 1 : 0)) {
      throw new Error(`--${name} must be a whole number.`);
    }
    return number;
  };
  return {
    kills: whole('kills'),
    errors: whole('errors'),
    disks: whole('disks'),
    seed: whole('seed'),
    jobs: whole('jobs'),
    only: values.only,
  };
}

/** Each as often as it takes to come to `count` in all, in turn, so that every folder meets every point. */
function repeated(trials: readonly Trial[], count: number): readonly Trial[] {
  if (trials.length === 0 || count === 0) return [];
  return Array.from({ length: Math.ceil(count / trials.length) }, () => trials).flat();
}

function add(rows: Map<string, Row>, row: Row): void {
  const known = rows.get(nameOf(row.trial));
  if (!known) {
    rows.set(nameOf(row.trial), row);
    return;
  }
  known.tried += row.tried;
  known.met += row.met;
  known.lost += row.lost;
  known.wrong += row.wrong;
  known.repeats += row.repeats;
  known.recoverMs.push(...row.recoverMs);
}

/** @returns the exit code. */
function printed(rows: readonly Row[], diskRows: readonly DiskRow[]): number {
  if (rows.length > 0) {
    console.table(
      rows.map(({ trial, tried, met, ...row }) => ({
        'point and step': nameOf(trial),
        'fault case': casesOf[nameOf(trial)] ?? '',
        tried,
        met,
        ...result(row),
      })),
    );
  }
  if (diskRows.length > 0) {
    console.table(
      diskRows.map(({ disk, trouble, tried, ...row }) => ({
        'disk and trouble': `${disk}: ${trouble}`,
        tried,
        ...result(row),
      })),
    );
  }
  const unmet = rows.filter(({ met }) => met === 0).map(({ trial }) => nameOf(trial));
  const met = (isKill: boolean) =>
    rows.filter(({ trial }) => (trial.error === null) === isKill).reduce((sum, row) => sum + row.met, 0);
  const all = [...rows, ...diskRows];
  const sum = (of: 'lost' | 'wrong') => all.reduce((total, row) => total + row[of], 0);
  if (unmet.length > 0) process.stdout.write(`never met: ${unmet.join(', ')}\n`);
  process.stdout.write(
    `kills ${met(true)}, errors ${met(false)}, lost ${sum('lost')}, wrong ${sum('wrong')}\n`,
  );
  return sum('lost') === 0 && sum('wrong') === 0 && unmet.length === 0 ? 0 : 1;
}

function result({ lost, wrong, repeats, recoverMs }: Pick<Row, 'lost' | 'wrong' | 'repeats' | 'recoverMs'>) {
  const inOrder = recoverMs.toSorted((a, b) => a - b);
  const median = Math.round(inOrder[inOrder.length >> 1] ?? 0);
  return { lost, wrong, 'sent again': repeats, 'recovered in ms': median };
}
