import type { Command } from 'commander';
import {
  type BackfillCountView,
  type BackfillView,
  cancelBackfill,
  countBackfill,
  listBackfills,
  showBackfill,
  startBackfill,
} from '../client/backfills.ts';
import { listClinics } from '../client/clinics.ts';
import type { CallApi } from '../client/relay-api.ts';
import { wait } from '../clock.ts';
import { RelayError } from '../domain/errors.ts';
import { shownInstant } from './instant.ts';
import { subscriberIdOf, subscriberNames } from './named.ts';
import { inert } from './print.ts';
import { openSession, type Session } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { printTable } from './table.ts';
import { badUsage, type CommonOptions, startOption, verb } from './verb.ts';

interface BackfillOptions extends CommonOptions {
  readonly from?: string;
  readonly dryRun?: true;
  readonly show?: string | true;
  readonly cancel?: string;
  readonly wait: boolean;
}

const lookAgainMs = 500;

export function addBackfillSubscriber(group: Command, around: Surroundings): void {
  verb(group, 'backfill [subscriber]', 'send it the events of the past that it was never sent, oldest first')
    .addOption(startOption('--from <when>', 'created since then'))
    .option('--dry-run', 'count them and send nothing')
    .option('--no-wait', 'return at once; the relay goes on')
    .option('--show [backfill]', 'show how far a backfill is, or all that there are')
    .option('--cancel <backfill>', 'end a backfill where it is')
    .action(async (idOrName: string | undefined, options: BackfillOptions) => {
      checkUsage(idOrName, options);
      const session = openSession(around, options);
      const { call } = session;
      const { from, dryRun, show, cancel } = options;
      if (show === true) return printAll(session, await backfillsOf(call, idOrName));
      if (show !== undefined) return print(session, await showBackfill(call, show));
      if (cancel !== undefined) return print(session, await cancelBackfill(call, cancel));
      const ask = { subscriberId: await subscriberIdOf(call, idOrName as string), from: from as string };
      if (dryRun) return printBackfillCount(session, await countBackfill(call, ask));
      const begun = await startBackfill(call, ask);
      session.to.note(
        inert(`Backfill ${begun.id} of ${eventsOf(begun.matched)}; it goes on without this command.`),
      );
      const ended = options.wait ? await untilEnded(session, around, begun) : begun;
      print(session, ended);
      if (ended.state !== 'cancelled') return;
      throw new RelayError('backfill_cancelled', 'Somebody cancelled the backfill before its end.', {
        hint: 'What it had enqueued is sent; run it again for the rest.',
      });
    });
}

function checkUsage(subscriber: string | undefined, options: BackfillOptions): void {
  const { from, dryRun, show, cancel } = options;
  if (show === true && from === undefined && dryRun === undefined && cancel === undefined) return;
  const isAbout = show !== undefined || cancel !== undefined;
  const isNew = subscriber !== undefined || from !== undefined || dryRun !== undefined;
  if (isAbout && (isNew || (show !== undefined && cancel !== undefined))) {
    throw badUsage('--show and --cancel stand alone.', 'Give the id of a backfill to one of them.');
  }
  if (isAbout || (subscriber !== undefined && from !== undefined)) return;
  throw badUsage('It is not clear what to send to whom.', 'Give a subscriber and --from 30d.');
}

/** How many events of which clinic and category would be sent. */
export async function printBackfillCount(
  { call, to, asJson }: Session,
  count: BackfillCountView,
): Promise<void> {
  if (asJson) return to.json(count);
  const { matched, from, streams } = count;
  to.out(inert(`${eventsOf(matched)} since ${from} would be sent.`));
  if (streams.length === 0) return;
  const names = new Map((await listClinics(call)).map(({ id, name }) => [id, name]));
  to.out('');
  printTable(
    to,
    [
      { title: 'CLINIC', text: ({ clinicId }) => names.get(clinicId) ?? clinicId },
      { title: 'CATEGORY', text: ({ category }) => category },
      { title: 'EVENTS', text: ({ events }) => String(events) },
    ],
    streams,
  );
}

async function backfillsOf(call: CallApi, subscriber: string | undefined): Promise<readonly BackfillView[]> {
  return listBackfills(call, subscriber === undefined ? undefined : await subscriberIdOf(call, subscriber));
}

async function printAll({ call, to, asJson }: Session, backfills: readonly BackfillView[]): Promise<void> {
  if (asJson) return to.json({ data: backfills });
  if (backfills.length === 0) return to.note('There is no backfill.');
  const names = await subscriberNames(call);
  printTable(
    to,
    [
      { title: 'ID', text: ({ id }) => id, isWhole: true },
      { title: 'SUBSCRIBER', text: ({ subscriberId }) => names.get(subscriberId) ?? subscriberId },
      { title: 'STATE', text: ({ state }) => state },
      { title: 'DONE', text: ({ done, matched }) => `${done} of ${matched}` },
      { title: 'SINCE', text: ({ from }) => shownInstant(from), isOptional: true },
    ],
    backfills,
  );
}

function print({ to, asJson }: Session, backfill: BackfillView): void {
  if (asJson) {
    to.json(backfill);
    return;
  }
  const { id, state, matched, done, enqueued, unavailable } = backfill;
  to.out(
    inert(`Backfill ${id} is ${state}: ${done} of ${eventsOf(matched)} gone through, ${enqueued} enqueued.`),
  );
  if (unavailable > 0) to.out(`${unavailable} were left out: nobody has their text any more.`);
}

export function eventsOf(count: number): string {
  return count === 1 ? '1 event' : `${count} events`;
}

async function untilEnded(
  { call, to }: Session,
  around: Surroundings,
  begun: BackfillView,
): Promise<BackfillView> {
  let backfill = begun;
  while (backfill.state === 'running') {
    await wait(around.clock, lookAgainMs);
    const before = backfill.done;
    backfill = await showBackfill(call, begun.id);
    if (backfill.done !== before) to.note(`${backfill.done} of ${backfill.matched}`);
  }
  return backfill;
}
