import type { Command } from 'commander';
import type { ClinicView } from '../client/clinics.ts';
import { type SetAsideView, type StatusView, type StreamView, showStatus } from '../client/status.ts';
import { shownInstant } from './instant.ts';
import { clinicIdOf } from './named.ts';
import { inert, type Printer } from './print.ts';
import { openSession } from './session.ts';
import { gapNeeds, printStreams } from './status-streams.ts';
import type { Surroundings } from './surroundings.ts';
import { type Column, printTable } from './table.ts';
import { badUsage, type CommonOptions, verb } from './verb.ts';

interface StatusOptions extends CommonOptions {
  readonly streams?: true;
  readonly clinic?: string;
}

export function addStatus(program: Command, around: Surroundings): void {
  verb(program, 'status', 'how far the relay is, and what needs somebody')
    .option('--streams', 'show from when to when each category of each clinic is read completely')
    .option('--clinic <clinic>', 'with --streams: of one clinic only, by its id or name')
    .action(async (options: StatusOptions) => {
      if (options.clinic !== undefined && !options.streams)
        throw badUsage('--clinic is for --streams.', 'Give both, or none.');
      const { call, to, asJson } = openSession(around, options);
      const clinicId = options.clinic === undefined ? null : await clinicIdOf(call, options.clinic);
      const status = await showStatus(call);
      const streams = status.streams.filter((stream) => clinicId === null || stream.clinicId === clinicId);
      if (asJson) return to.json({ ...status, streams });
      if (options.streams) printStreams(to, namesIn(status), streams);
      else printStatus(to, status);
    });
}

function namesIn({ clinics }: StatusView): ReadonlyMap<string, string> {
  return new Map(clinics.map(({ id, name }) => [id, name]));
}

function printStatus(to: Printer, status: StatusView): void {
  const { clinics, streams, setAside, deliveries, subscribers, store } = status;
  const stuck = streams.filter(({ state }) => state === 'failing' || state === 'off');
  const lags = streams.flatMap(({ lagSeconds }) => (lagSeconds === null ? [] : [lagSeconds]));
  const behind = lags.length === 0 ? '' : `; the slowest was last read to its end ${Math.max(...lags)} s ago`;
  if (status.shadow) {
    to.out(to.paint('red', 'SHADOW MODE: events are read and recorded, and NOTHING is sent.'));
    to.out('To compare: relay seen compare FILE. To end it: source.shadow false, and a restart; what was');
    to.out('recorded until then is sent by relay subscribers backfill only.');
    to.out('');
  }
  to.out(`clinics      ${counts(tally(clinics.map(({ state }) => state ?? 'connected')))}`);
  to.out(`streams      ${counts(tally(streams.map(({ state }) => state)))}${behind}`);
  const lateHours = Math.floor(Math.max(0, ...streams.map(({ lateSeconds }) => lateSeconds)) / 3_600);
  if (lateHours > 0)
    to.out(`             Fullscript listed events up to ${lateHours} h late in the last 30 days`);
  to.out(`subscribers  ${counts(subscribers.counts)}`);
  to.out(`deliveries   ${counts(deliveries.counts)}`);
  to.out(`set aside    ${setAside.count}`);
  if (status.audits !== null) to.out(`audit        ${inert(auditLine(status.audits))}`);
  const needs = needsOf(status);
  if (store.trouble !== null || store.restored !== null || needs.length > 0) to.out('');
  if (store.trouble !== null) to.out(to.paint('red', inert(troubleLine(store.trouble))));
  for (const line of restoredLines(store.restored)) to.out(to.paint('yellow', line));
  for (const need of needs) to.out(to.paint('yellow', inert(need)));
  const names = namesIn(status);
  printRows(to, streamColumns(names), stuck);
  printRows(to, setAsideColumns(names), setAside.items);
  const more = setAside.count - setAside.items.length;
  if (setAside.items.length > 0 && more > 0) to.note(`${more} more were set aside.`);
}

function printRows<Row>(to: Printer, columns: readonly Column<Row>[], rows: readonly Row[]): void {
  if (rows.length === 0) return;
  to.out('');
  printTable(to, columns, rows);
}

function troubleLine({ message, hint, since }: NonNullable<StatusView['store']['trouble']>): string {
  return `${message}${since === null ? '' : ` So since ${shownInstant(since)}.`} ${hint}`;
}

function auditLine({ last, running }: NonNullable<StatusView['audits']>): string {
  const before =
    last === null
      ? 'none yet'
      : `${last.balanced ? 'balanced' : 'not balanced'}, ${last.listed} listed, at ${shownInstant(last.endedAt)}`;
  return running === null ? before : `${before}; one is at ${running.done} of ${running.streams} streams`;
}

const needOfState: Partial<Record<NonNullable<ClinicView['state']>, string>> = {
  needsReconnect: 'needs to be connected again',
  waiting: 'waits for its app',
  paused: 'is paused',
};

/** A clinic that is not read, why, and how long nothing is lost by it. */
function clinicNeeds({ name, state, stateReason, daysLeft }: ClinicView): readonly string[] {
  const need = needOfState[state ?? 'active'];
  if (need === undefined) return [];
  const left = daysLeft == null ? '' : ` Fullscript lists all that is missing for ${daysLeft} more days.`;
  return [`${name} ${need}: ${stateReason ?? 'unknown reason'}.${left}`];
}

/** A subscriber that is sent nothing, and which verb says more or lifts that. */
function subscriberNeeds(subscriber: StatusView['subscribers']['notActive'][number]): string {
  const { id, name, state, pauseReasons } = subscriber;
  // What stands behind a verb is copied into a shell.
  const called = /^[\w.-]+$/.test(name) ? name : id;
  if (pauseReasons.length === 0) {
    return `${name} is ${state}; what it is owed is held until it takes one: relay subscribers doctor ${called}`;
  }
  const held = `${name} is ${state} (${pauseReasons.join(', ')}); what it is owed is held`;
  const isTheFiles = pauseReasons.every((reason) => reason === 'removed');
  return isTheFiles
    ? `${held} until it stands in the configuration again.`
    : `${held}: relay subscribers resume ${called}`;
}

/** What the last audit found and somebody has to look at. */
function auditNeeds(audits: StatusView['audits']): readonly string[] {
  if (!audits?.last) return [];
  const { id, missing, repaired, unlistedInNeed } = audits.last;
  const found = `The last audit found ${missing} listed events missing and took in ${repaired}: relay audit ${id}`;
  const left = `The last audit could not list ${unlistedInNeed} streams: relay audit ${id}`;
  return [...(missing > 0 ? [found] : []), ...(unlistedInNeed > 0 ? [left] : [])];
}

/** What to know before anything is resumed; nothing where nothing is held. */
function restoredLines(restored: StatusView['store']['restored']): readonly string[] {
  if (restored === null) return [];
  const { takenAt, restoredAt, subscribers, connections, openDeliveries } = restored;
  return [
    `This log was restored at ${shownInstant(restoredAt)} from a backup of ${shownInstant(takenAt)}.`,
    `Until somebody resumes them, nothing is sent (subscribers held: ${subscribers}) and no clinic is read`,
    `(connections held: ${connections}). Before you do that:`,
    '- make sure that the relay of which the backup was taken does not run: two would send everything twice,',
    '  and each would spend the other’s tokens;',
    `- what was delivered since ${shownInstant(takenAt)} is sent again, under the same event and delivery ids:`,
    `  of the deliveries that were open then (${openDeliveries}), and of the events since then, which are read again;`,
    '- tokens that were renewed since are spent: a clinic whose tokens Fullscript refuses has to be connected again.',
    'Then: relay clinics resume --restored, relay subscribers resume --restored (--skip ends what was open).',
  ];
}

/** A delivery that is due waits a moment for its slot; longer than this says that the relay does not keep up. */
const overdueFromMs = 60_000;

function needsOf(status: StatusView): readonly string[] {
  const { at, clinics, subscribers, audits, shadow } = status;
  const overdueSince = shadow ? null : status.deliveries.overdueSince;
  const overdueMs = overdueSince === null ? 0 : Date.parse(at) - Date.parse(overdueSince);
  return [
    ...clinics.flatMap(clinicNeeds),
    ...subscribers.notActive.map(subscriberNeeds),
    ...(overdueMs < overdueFromMs
      ? []
      : [`Deliveries wait for their turn since ${shownInstant(overdueSince)}.`]),
    ...auditNeeds(audits),
    ...gapNeeds(status),
    ...budgetNeeds(status),
  ];
}

/** A budget that is used well has none left for a moment again and again. */
const standstillFromMs = 10_000;

function budgetNeeds(status: StatusView): readonly string[] {
  const { shortfall = null, standstill = null } = status.budget ?? {};
  const needs: string[] = [];
  if (
    standstill !== null &&
    Date.parse(standstill.until) - Date.parse(standstill.since) >= standstillFromMs
  ) {
    const { because, clinicId, since, until } = standstill;
    const seconds = Math.max(1, Math.ceil((Date.parse(until) - Date.parse(status.at)) / 1_000));
    const what =
      clinicId === null
        ? 'Nothing is read'
        : `New events of ${namesIn(status).get(clinicId) ?? clinicId} wait`;
    needs.push(`${what} since ${shownInstant(since)}, for ${seconds} more s: ${whyStandstill[because]}.`);
  }
  if (shortfall !== null) {
    const { requestsPerFiveMinutes, pollSecondsMax } = shortfall;
    needs.push(
      `The request budget cannot poll every category in time: it takes source.requestsPerFiveMinutes ${requestsPerFiveMinutes}, or source.pollSecondsMax ${pollSecondsMax}.`,
    );
  }
  return needs;
}

const whyStandstill = {
  usedUp: 'the requests of five minutes are used up (source.requestsPerFiveMinutes)',
  vendorAsked: 'Fullscript asked the app to slow down',
  manyEvents: 'more happened there than five minutes’ requests can retrieve (source.requestsPerFiveMinutes)',
};

const streamColumns = (names: ReadonlyMap<string, string>) => [
  { title: 'CLINIC', text: ({ clinicId }: StreamView) => names.get(clinicId) ?? clinicId },
  { title: 'CATEGORY', text: ({ category }: StreamView) => category },
  { title: 'STATE', text: ({ state }: StreamView) => state },
  { title: 'READ UNTIL', text: ({ readUntil }: StreamView) => shownInstant(readUntil) },
  { title: 'DAYS LEFT', text: ({ daysLeft }: StreamView) => (daysLeft === null ? '-' : String(daysLeft)) },
  { title: 'PROBLEM', text: ({ problem }: StreamView) => problem ?? '' },
];

const setAsideColumns = (names: ReadonlyMap<string, string>): readonly Column<SetAsideView>[] => [
  { title: 'SET ASIDE', text: ({ eventId }) => eventId ?? '(no id)', isWhole: true },
  { title: 'CLINIC', text: ({ clinicId }) => names.get(clinicId) ?? clinicId },
  { title: 'CATEGORY', text: ({ category }) => category },
  { title: 'WHY', text: ({ reason, detail }) => `${reason}: ${detail}` },
  { title: 'TRIES', text: ({ tries }) => String(tries) },
  { title: 'FINAL', text: ({ isFinal }) => (isFinal ? 'yes' : 'no') },
];

function tally(words: readonly string[]): Readonly<Record<string, number>> {
  const counted: Record<string, number> = {};
  for (const word of words) counted[word] = (counted[word] ?? 0) + 1;
  return counted;
}

/** `3 active, 1 paused`; what there is none of is left out. */
function counts(counted: Readonly<Record<string, number>>): string {
  const present = Object.entries(counted).filter(([, count]) => count > 0);
  return present.map(([word, count]) => `${count} ${inert(word)}`).join(', ') || 'none';
}
