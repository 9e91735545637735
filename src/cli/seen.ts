import type { Command } from 'commander';
import { listClinics } from '../client/clinics.ts';
import type { CallApi } from '../client/relay-api.ts';
import { type EventView, importSeen, listEvents, type SeenView } from '../client/seen.ts';
import { RelayError } from '../domain/errors.ts';
import { clinicIdOf } from './named.ts';
import { inert, type Printer } from './print.ts';
import { type DayDifference, differenceOf, type SeenDifference } from './seen-difference.ts';
import { readSeenFile } from './seen-file.ts';
import { openSession } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { type Column, printTable } from './table.ts';
import { badUsage, type CommonOptions, instantOption, verb } from './verb.ts';

interface SeenOptions extends CommonOptions {
  readonly clinic?: string;
  readonly allClinics?: true;
  readonly dryRun?: true;
  readonly since?: string;
}

/** Of one request: the API takes no more, and no body that is longer. */
const batchIdsMax = 1_000;
const batchBytesMax = 90_000;
const whose = 'whose events they are, by its id or name; needed where there are several';
const ofAll = 'the list does not tell whose its events are: take it for each clinic’s';
const idsShown = 20;
const daysShown = 50;

export function addSeen(program: Command, around: Surroundings): void {
  const group = program.command('seen').description('the list of events that a script of yours processed');

  verb(group, 'import <file>', 'take it over: these events are known and never sent (- reads standard input)')
    .option('--clinic <clinic>', whose)
    .option('--all-clinics', ofAll)
    .option('--dry-run', 'check the list and count, and change nothing')
    .action(async (file: string, options: SeenOptions) => {
      const events = await readSeenFile(around, file);
      const { call, to, asJson } = openSession(around, options);
      const clinicIds = await clinicsOf(call, options);
      const dryRun = options.dryRun === true;
      const ids = events.map(({ id }) => id);
      let sum = none;
      for (const clinicId of clinicIds) sum = plus(sum, await importAll(call, clinicId, ids, dryRun));
      if (asJson) return to.json({ dryRun, ids: ids.length, clinics: clinicIds.length, ...sum });
      const { recorded, withheld, known, owed } = sum;
      const each = clinicIds.length === 1 ? '' : ` in each of ${clinicIds.length} clinics`;
      to.out(`${ids.length} ids${dryRun ? ' would be' : ' were'} taken over as handled elsewhere${each}:`);
      to.out(`  ${recorded} the relay had not seen yet, and will not read`);
      to.out(`  ${withheld} it had recorded without sending them; no backfill will`);
      if (known > 0) to.out(`  ${known} were taken over before`);
      if (owed > 0) to.note(`${owed} are left as they are: the relay has sent them, or is about to.`);
    });

  verb(group, 'compare <file>', 'what it has and the relay never saw, and the other way round; exit 1 if any')
    .option('--clinic <clinic>', whose)
    .option('--all-clinics', ofAll)
    .addOption(instantOption('--since <when>', 'leave out what is dated earlier', around.clock.now))
    .action(async (file: string, options: SeenOptions) => {
      const events = await readSeenFile(around, file);
      const { call, to, asJson } = openSession(around, options);
      const clinicIds = await clinicsOf(call, options);
      const since = options.since === undefined ? null : Date.parse(options.since);
      const known: (readonly EventView[])[] = [];
      for (const clinicId of clinicIds) known.push(await listEvents(call, clinicId));
      const difference = differenceOf(events, known.flat(), since);
      if (asJson) to.json(difference);
      else printDifference(to, difference);
      if (difference.missing.length === 0) return;
      throw new RelayError(
        'seen_missing',
        `The relay never saw ${difference.missing.length} of the events that the list has.`,
        {
          hint: 'Fullscript lists 30 days: leave older ids out of the list. `relay status` says whether all streams were read.',
        },
      );
    });
}

/** The ids of the clinics whose events the list may name. */
async function clinicsOf(call: CallApi, { clinic, allClinics }: SeenOptions): Promise<readonly string[]> {
  if (clinic !== undefined && allClinics)
    throw badUsage('--clinic and --all-clinics exclude each other.', 'Give one.');
  if (clinic !== undefined) return [await clinicIdOf(call, clinic)];
  const ids = (await listClinics(call)).filter(({ state }) => state !== 'connecting').map(({ id }) => id);
  if (ids.length === 0) throw badUsage('There is no clinic yet.', 'Connect it first: `relay clinics add`.');
  if (ids.length === 1 || allClinics) return ids;
  throw badUsage(
    'There are several clinics.',
    'Say whose events these are: --clinic NAME, or --all-clinics for a list that does not tell.',
  );
}

const none: SeenView = { recorded: 0, withheld: 0, known: 0, owed: 0 };

function plus(a: SeenView, b: SeenView): SeenView {
  return {
    recorded: a.recorded + b.recorded,
    withheld: a.withheld + b.withheld,
    known: a.known + b.known,
    owed: a.owed + b.owed,
  };
}

/** Bounded request after request; one that fails says how far it came. */
async function importAll(
  call: CallApi,
  clinicId: string,
  ids: readonly string[],
  dryRun: boolean,
): Promise<SeenView> {
  let sum = none;
  let done = 0;
  for (const eventIds of batches(ids)) {
    try {
      sum = plus(sum, await importSeen(call, { clinicId, eventIds, dryRun }));
      done += eventIds.length;
    } catch (error) {
      if (dryRun || done === 0) throw error;
      throw new RelayError(
        'seen_import_cut_off',
        `${done} of ${ids.length} ids were taken over, then it failed.`,
        {
          hint: `Run it again: what was taken over stays so. ${error instanceof Error ? error.message : ''}`.trim(),
          cause: error,
        },
      );
    }
  }
  return sum;
}

function* batches(ids: readonly string[]): Generator<readonly string[]> {
  let batch: string[] = [];
  let bytes = 0;
  for (const id of ids) {
    const length = Buffer.byteLength(JSON.stringify(id)) + 1;
    if (batch.length === batchIdsMax || (batch.length > 0 && bytes + length > batchBytesMax)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(id);
    bytes += length;
  }
  if (batch.length > 0) yield batch;
}

const columns: readonly Column<DayDifference>[] = [
  { title: 'CATEGORY', text: ({ category }) => category },
  { title: 'DAY', text: ({ day }) => day },
  { title: 'BOTH', text: ({ both }) => String(both) },
  { title: 'ONLY LIST', text: ({ onlyScript }) => String(onlyScript) },
  { title: 'ONLY RELAY', text: ({ onlyRelay }) => String(onlyRelay) },
];

function printDifference(to: Printer, { both, missing, extra, days }: SeenDifference): void {
  const differing = days.filter(({ onlyScript, onlyRelay }) => onlyScript + onlyRelay > 0);
  if (differing.length > 0) {
    printTable(to, columns, differing.slice(0, daysShown));
    if (differing.length > daysShown)
      to.note(`${differing.length - daysShown} more days differ: --json has them.`);
    to.out('');
  }
  to.out(`${both} in both, ${missing.length} only in the list, ${extra} only in the relay.`);
  for (const id of missing.slice(0, idsShown)) to.out(`  only in the list: ${inert(id)}`);
  if (missing.length > idsShown) to.out(`  and ${missing.length - idsShown} more (--json has them)`);
}
