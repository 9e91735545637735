import { type Command, Option } from 'commander';
import type { Clock } from '../clock.ts';
import { RelayError } from '../domain/errors.ts';
import { jsonLogger } from '../logger.ts';
import type { Rebuild, RebuildCount, Rebuilt } from '../main/rebuild.ts';
import { shownInstant } from './instant.ts';
import { inert, type Printer, printer } from './print.ts';
import { configOf } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { badUsage, type CommonOptions, instantOption, verb } from './verb.ts';

interface RebuildOptions extends CommonOptions {
  readonly since: string;
  readonly assumeDeliveredBefore?: string;
  readonly dryRun?: true;
}

const tellEveryMs = 10_000;

export function addRebuild(program: Command, around: Surroundings): void {
  const now = () => around.clock.wall();
  const since = instantOption('--since <when>', 'enqueue what was created since then', now);
  verb(program, 'rebuild', 'make a lost delivery log anew from what Fullscript lists (its last 30 days)')
    .addOption(since.makeOptionMandatory())
    .addOption(
      instantOption(
        '--assume-delivered-before <when>',
        'what was created before is recorded as known and never sent',
        now,
      ),
    )
    .addOption(new Option('--dry-run', 'list and count; record nothing'))
    .action(async (options: RebuildOptions) => {
      const startAt = startAtOf(options, now());
      const { config } = await configOf(around, options.config);
      const { countRebuild, rebuild } = await import('../main/rebuild.ts');
      const to = printer(around.stdout, around.stderr, around.env);
      const halt = new AbortController();
      const stopListening = around.onStopSignal(() => halt.abort());
      // Waiting timers do not keep a process alive, and here nothing else may.
      const alive = setInterval(() => {}, 60_000);
      const logger = jsonLogger('warn', around.stderr);
      const ask = { config, logger, startAt, halt: halt.signal, onProgress: progressOn(to, around.clock) };
      try {
        if (options.dryRun) tellCount(to, await countRebuild(ask), startAt, options.json === true);
        else tellRebuilt(to, await rebuild(ask), startAt, options.json === true);
      } finally {
        clearInterval(alive);
        stopListening();
      }
    });
}

function startAtOf({ since, assumeDeliveredBefore = since }: RebuildOptions, now: number): number {
  const startAt = Math.max(Date.parse(since), Date.parse(assumeDeliveredBefore));
  if (startAt <= now) return startAt;
  throw badUsage(
    'A moment in the future is given: nothing created before it would ever be sent.',
    'Give one that has passed.',
  );
}

/** A line when another stream was read, and every ten seconds while one is. */
function progressOn(to: Printer, clock: Clock): Rebuild['onProgress'] {
  let told = { read: -1, atMs: 0 };
  return ({ read, streams, recorded }) => {
    const atMs = clock.monotonic();
    if (streams === 0 || (read === told.read && atMs - told.atMs < tellEveryMs)) return;
    to.note(`${read} of ${streams} streams are read, ${recorded} events recorded`);
    told = { read, atMs };
  };
}

function tellCount(
  to: Printer,
  count: RebuildCount & Pick<Rebuilt, 'unconnected'>,
  startAt: number,
  asJson: boolean,
): void {
  const { listed, past, enqueued, deliveries, unreadable, unlisted, unconnected } = count;
  if (asJson) to.json({ dryRun: true, startAt: new Date(startAt).toISOString(), ...count });
  else {
    to.out(`Fullscript lists ${listed} events.`);
    to.out(`${past} were created before ${shown(startAt)}: they would be known and never sent.`);
    to.out(`${enqueued} would be enqueued, as ${deliveries} deliveries.`);
    if (unreadable > 0) to.out(`${unreadable} cannot be read and would be set aside.`);
  }
  const problems = [
    ...unconnected.map(({ name, problem }) => `${name}: ${problem}`),
    ...unlisted.map(({ clinicName, category, problem }) => `${clinicName}, ${category}: ${problem}`),
  ];
  if (problems.length > 0) throw incomplete('could not be counted', problems);
}

function tellRebuilt(to: Printer, rebuilt: Rebuilt, startAt: number, asJson: boolean): void {
  const { streams, unconnected, enqueued, deliveries, past, setAside } = rebuilt;
  const read = streams.filter(({ state }) => state === 'read').length;
  if (asJson) to.json({ dryRun: false, startAt: new Date(startAt).toISOString(), ...rebuilt });
  else {
    to.out(`${read} of ${streams.length} streams are read.`);
    to.out(`${past} events are known and never sent: they were created before ${shown(startAt)}.`);
    to.out(`${enqueued} events are enqueued, as ${deliveries} deliveries: \`relay serve\` sends them.`);
    if (setAside > 0) to.out(`${setAside} items were set aside: \`relay status\` shows them.`);
  }
  const problems = [
    ...unconnected.map(({ name, problem }) => `${name}: ${problem}`),
    ...streams
      .filter(({ state }) => state === 'failing')
      .map(({ clinicName, category, problem }) => `${clinicName}, ${category}: ${problem}`),
  ];
  if (problems.length > 0) throw incomplete('are left', problems);
}

function incomplete(what: string, problems: readonly string[]): RelayError {
  const message = `${problems.length} streams or clinics ${what}: ${problems.map(inert).join('; ')}.`;
  return new RelayError('rebuild_incomplete', message, {
    hint: 'Mend what is named. `relay serve` goes on with what is left, from the same moment.',
  });
}

function shown(at: number): string {
  return shownInstant(new Date(at).toISOString());
}
