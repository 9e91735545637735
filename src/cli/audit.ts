import type { Command } from 'commander';
import {
  type AuditedStreamView,
  type AuditView,
  cancelAudit,
  showAudit,
  startAudit,
  type UnlistedStreamView,
} from '../client/audits.ts';
import { listClinics } from '../client/clinics.ts';
import { wait } from '../clock.ts';
import { RelayError } from '../domain/errors.ts';
import { clinicIdOf } from './named.ts';
import { inert, type Printer } from './print.ts';
import { openSession, type Session } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { type Column, printTable } from './table.ts';
import { badUsage, type CommonOptions, verb } from './verb.ts';

interface AuditOptions extends CommonOptions {
  readonly clinic?: string;
  readonly repair?: true;
  readonly cancel?: true;
  readonly wait: boolean;
}

const lookAgainMs = 500;
/** Of more streams only those that something is to be said about are shown. */
const streamsShownMax = 30;

export function addAudit(program: Command, around: Surroundings): void {
  verb(program, 'audit [id]', 'prove that nothing listed is missing; with an id, show an audit there is')
    .option('--clinic <clinic>', 'only this clinic, by its id or name')
    .option('--repair', 'take in what is missing; nothing from before a stream’s start is sent')
    .option('--cancel', 'end the audit of that id where it is')
    .option('--no-wait', 'return at once; the relay goes on')
    .action(async (id: string | undefined, options: AuditOptions) => {
      checkUsage(id, options);
      const session = openSession(around, options);
      const begun = await begin(session, id, options);
      const audit = options.wait ? await untilEnded(session, around, begun) : begun;
      if (session.asJson) session.to.json(audit);
      else if (audit.state === 'running') session.to.out(inert(`Audit ${audit.id} is running.`));
      else await print(session, audit);
      if (!options.cancel) judge(audit);
    });
}

function checkUsage(id: string | undefined, { clinic, repair, cancel }: AuditOptions): void {
  if (id === undefined && cancel) throw badUsage('It is not clear which audit.', 'Give the id of one.');
  if (id !== undefined && (clinic !== undefined || repair)) {
    throw badUsage(
      'An audit that there is cannot be changed.',
      'Give the id alone, or none for a new audit.',
    );
  }
}

async function begin(
  { call, to }: Session,
  id: string | undefined,
  options: AuditOptions,
): Promise<AuditView> {
  if (id !== undefined) return options.cancel ? cancelAudit(call, id) : showAudit(call, id);
  const clinicId = options.clinic === undefined ? undefined : await clinicIdOf(call, options.clinic);
  const begun = await startAudit(call, { clinicId, repair: options.repair === true });
  to.note(inert(`Audit ${begun.id} of ${streams(begun.progress.streams)}; it goes on without this command.`));
  return begun;
}

async function untilEnded({ call, to }: Session, around: Surroundings, begun: AuditView): Promise<AuditView> {
  let audit = begun;
  while (audit.state === 'running') {
    await wait(around.clock, lookAgainMs);
    const before = audit.progress.done;
    audit = await showAudit(call, begun.id);
    const { done, streams: all } = audit.progress;
    if (done !== before) to.note(`${done} of ${all}`);
  }
  return audit;
}

async function print({ call, to }: Session, audit: AuditView): Promise<void> {
  const names = new Map((await listClinics(call)).map(({ id, name }) => [id, name]));
  const nameOf = ({ clinicId }: { readonly clinicId: string }) => names.get(clinicId) ?? clinicId;
  const { streams: listed, unlisted, missing, missingIds, withoutId } = audit;
  const shown =
    listed.length <= streamsShownMax
      ? listed
      : listed.filter(({ balanced, setAside, failed }) => !balanced || setAside > 0 || failed > 0);
  printRows(to, streamColumns(nameOf, shown), shown);
  if (shown.length < listed.length) to.note(`${listed.length - shown.length} more streams balance.`);
  printRows(to, unlistedColumns(nameOf), unlisted);
  if (missingIds.length > 0) to.out('missing:');
  for (const id of missingIds) to.out(`  ${inert(id)}`);
  if (missing > missingIds.length) to.out(`  and ${missing - missingIds.length} more`);
  if (withoutId > 0) to.out(`${events(withoutId)} were listed without an id and are set aside.`);
  to.out(verdict(audit));
}

function verdict({ state, balanced, listed, missing, repaired, repair, unlisted }: AuditView): string {
  const about = unlisted.length === 0 ? '' : `; it says nothing about ${streams(unlisted.length)}`;
  if (state === 'cancelled') return `Cancelled after ${events(listed)}${about}.`;
  if (balanced) return `Balanced: ${events(listed)} listed, none is missing${about}.`;
  const taken = repair ? `, ${repaired} of them taken in now` : '';
  return `Not balanced: ${events(listed)} listed, ${missing} missing${taken}${about}.`;
}

/** @throws RelayError `audit_missing`, `audit_incomplete`, `audit_cancelled` */
function judge({ state, missing, repair, repaired, unlisted }: AuditView): void {
  if (state === 'cancelled') {
    throw new RelayError('audit_cancelled', 'Somebody cancelled the audit before its end.', {
      hint: 'Run it again for the rest.',
    });
  }
  if (missing > 0) {
    const isRepaired = repair && repaired === missing;
    throw new RelayError(
      'audit_missing',
      `${events(missing)} that Fullscript lists were missing in the log.`,
      {
        hint: isRepaired
          ? 'They were taken in and go out as any other; find out why no poll read them.'
          : 'Run it with --repair; what cannot be taken in, `relay status` and the log of the relay explain.',
      },
    );
  }
  const inNeed = unlisted.filter(({ reason }) => reason !== 'off' && reason !== 'paused').length;
  if (inNeed === 0) return;
  throw new RelayError('audit_incomplete', `${streams(inNeed)} could not be listed.`, {
    hint: 'See why in `unlisted`, and run it again.',
  });
}

type NameOf = (stream: { readonly clinicId: string }) => string;

const bucketTitles = [
  ['LISTED', 'listed'],
  ['MISSING', 'missing'],
  ['SET ASIDE', 'setAside'],
  ['FAILED', 'failed'],
  ['HELD', 'held'],
  ['PENDING', 'pending'],
  ['CANCELLED', 'cancelled'],
  ['DELIVERED', 'delivered'],
  ['FILTERED', 'filtered'],
] as const;

/** A bucket that is empty everywhere is left out. */
function streamColumns(
  nameOf: NameOf,
  shown: readonly AuditedStreamView[],
): readonly Column<AuditedStreamView>[] {
  const present = bucketTitles.filter(
    ([, bucket]) => bucket === 'listed' || bucket === 'missing' || shown.some((stream) => stream[bucket] > 0),
  );
  return [
    { title: 'CLINIC', text: nameOf },
    { title: 'CATEGORY', text: ({ category }) => category },
    ...present.map(([title, bucket]) => ({
      title,
      text: (stream: AuditedStreamView) => String(stream[bucket]),
      isWhole: true,
    })),
    ...(shown.some(({ problem }) => problem !== null)
      ? [{ title: 'PROBLEM', text: ({ problem }: AuditedStreamView) => problem ?? '' }]
      : []),
  ];
}

function unlistedColumns(nameOf: NameOf): readonly Column<UnlistedStreamView>[] {
  return [
    { title: 'NOT LISTED', text: nameOf },
    { title: 'CATEGORY', text: ({ category }) => category },
    { title: 'WHY', text: ({ reason }) => reason },
    { title: 'DETAIL', text: ({ detail }) => detail },
  ];
}

function printRows<Row>(to: Printer, columns: readonly Column<Row>[], rows: readonly Row[]): void {
  if (rows.length === 0) return;
  printTable(to, columns, rows);
  to.out('');
}

function events(count: number): string {
  return count === 1 ? '1 event' : `${count} events`;
}

function streams(count: number): string {
  return count === 1 ? '1 stream' : `${count} streams`;
}
