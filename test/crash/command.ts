import { parseArgs } from 'node:util';
import { casesOf } from './cases.ts';
import { errorTrials, killTrials, nameOf, type Row, runTrials, type Trial } from './matrix.ts';
import { type DiskRow, tryRealDisks } from './real-disks.ts';
import { builtRelay } from './relay.ts';

const usage = `npm run test:crash -- [--kills N] [--errors N] [--seed S] [--jobs J] [--only POINT]

  --kills N     at least so many kills of the relay's process, over all points (500)
  --errors N    at least so many errors of the disk (150)
  --disks N     times that each trouble comes to a real disk: filled up, without power (5)
  --seed S      decides the events and the moments (1)
  --jobs J      data folders at once (2)
  --only POINT  only the trials whose name begins so
`;

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
  const share = Math.ceil(trials.length / asked.jobs);
  try {
    await Promise.all(
      Array.from({ length: asked.jobs }, (_, job) =>
        runTrials({
          program: relay.path,
          seed: asked.seed + job,
          trials: trials.slice(job * share, (job + 1) * share),
          onTried(row, faults) {
            add(rows, row);
            done += 1;
            for (const fault of faults) process.stdout.write(`${nameOf(row.trial)}: ${fault}\n`);
            if (done % 50 === 0) process.stdout.write(`${done} of ${trials.length}\n`);
          },
        }),
      ),
    );
    if (asked.disks > 0) diskRows = await realDisks(relay.path, asked);
  } finally {
    relay.discard();
  }
  const codes = [printed([...rows.values()]), printedDisks(diskRows)];
  return Math.max(...codes);
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

function printed(rows: readonly Row[]): number {
  if (rows.length === 0) return 0;
  console.table(
    rows.map(({ trial, tried, met, lost, wrong, repeats, recoverMs }) => ({
      'point and step': nameOf(trial),
      'fault case': casesOf[nameOf(trial)] ?? '',
      tried,
      met,
      lost,
      wrong,
      repeats,
      'recovered in ms': Math.round(recoverMs.sort((a, b) => a - b)[recoverMs.length >> 1] ?? 0),
    })),
  );
  const sum = (of: (row: Row) => number) => rows.reduce((total, row) => total + of(row), 0);
  const unmet = rows.filter(({ met }) => met === 0).map(({ trial }) => nameOf(trial));
  const kills = sum((row) => (row.trial.error === null ? row.met : 0));
  const errors = sum((row) => (row.trial.error === null ? 0 : row.met));
  const lost = sum((row) => row.lost);
  const wrong = sum((row) => row.wrong);
  process.stdout.write(
    `${kills} kills, ${errors} errors of the disk: lost ${lost}, wrong ${wrong}, sent again ${sum((row) => row.repeats)}\n`,
  );
  if (unmet.length > 0) process.stdout.write(`never met: ${unmet.join(', ')}\n`);
  return lost === 0 && wrong === 0 && unmet.length === 0 ? 0 : 1;
}

function printedDisks(rows: readonly DiskRow[]): number {
  if (rows.length === 0) return 0;
  console.table(
    rows.map(({ disk, trouble, tried, lost, wrong, repeats, recoverMs }) => ({
      'disk and trouble': `${disk}: ${trouble}`,
      tried,
      lost,
      wrong,
      repeats,
      'recovered in ms': Math.round(recoverMs.sort((a, b) => a - b)[recoverMs.length >> 1] ?? 0),
    })),
  );
  return rows.every(({ lost, wrong }) => lost === 0 && wrong === 0) ? 0 : 1;
}
