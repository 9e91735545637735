import type { Command } from 'commander';
import { type ErasureView, showErasure, startErasure } from '../client/erasures.ts';
import { RelayUnreachable } from '../client/errors.ts';
import { wait } from '../clock.ts';
import { RelayError } from '../domain/errors.ts';
import { inert, type Printer } from './print.ts';
import { openSession, type Session } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { badUsage, type CommonOptions, verb } from './verb.ts';

interface EraseOptions extends CommonOptions {
  readonly patient?: string;
  readonly clinic?: string;
  readonly cancelOpen?: true;
  readonly dryRun?: true;
}

const lookAgainMs = 500;

export function addErase(program: Command, around: Surroundings): void {
  verb(program, 'erase', 'erase the texts of one patient’s events, and the answers to them, from the log')
    .option('--patient <id>', 'the patient, by Fullscript’s id')
    .option('--clinic <clinic>', 'only this clinic’s events, by its id or name')
    .option('--cancel-open', 'end open deliveries of such events; otherwise they stand in the way')
    .option('--dry-run', 'count them and change nothing')
    .action(async ({ patient, clinic, cancelOpen, dryRun, ...options }: EraseOptions) => {
      if (patient === undefined || patient === '') {
        throw badUsage('It is not clear whose events to erase.', 'Give --patient ID, as Fullscript has it.');
      }
      const session = openSession(around, options);
      const begun = await startErasure(session.call, {
        patientId: patient,
        clinicId: clinic,
        cancelOpen: cancelOpen === true,
        dryRun: dryRun === true,
      });
      session.to.note(inert(`Erasure ${begun.id}: every event in the log is looked at.`));
      const erasure = await untilEnded(session, around, begun);
      if (session.asJson) session.to.json(erasure);
      else print(session.to, erasure);
      judge(erasure);
    });
}

/** @throws RelayError `erasure_unknown` when the relay ends before the erasure does */
async function untilEnded(
  { call, to }: Session,
  around: Surroundings,
  begun: ErasureView,
): Promise<ErasureView> {
  let erasure = begun;
  while (erasure.state === 'running') {
    const { problem } = erasure;
    await wait(around.clock, lookAgainMs);
    try {
      erasure = await showErasure(call, begun.id);
    } catch (cause) {
      if (!(cause instanceof RelayUnreachable)) throw cause;
      throw new RelayError('erasure_unknown', `Nobody says what became of the erasure. ${cause.message}`, {
        hint: 'When the relay runs again, run this again; what was erased stays so.',
        cause,
      });
    }
    if (erasure.state === 'running' && erasure.problem !== null && erasure.problem !== problem) {
      to.note(inert(`It waits. ${erasure.problem}`));
    }
  }
  return erasure;
}

function print(to: Printer, { result, dryRun }: ErasureView): void {
  if (result === null) return;
  const { erased, events, open, ended, files, unreadable, note } = result;
  if (erased) {
    const also = ended === 0 ? '' : ` ${counted(ended, 'open delivery', 'open deliveries')} ended.`;
    to.out(`${counted(events, 'event')} erased; ${counted(files, 'file')} written anew without them.${also}`);
    if (open > 0) to.out(`${counted(open, 'event')} left, opened by a replay meanwhile.`);
  } else if (dryRun) {
    const inTheWay = `; ${counted(open, 'delivery', 'deliveries')} of them ${open === 1 ? 'is' : 'are'} open`;
    to.out(`${counted(events, 'event')} would be erased${open === 0 ? '' : inTheWay}.`);
  }
  if (unreadable > 0) {
    to.out(`${counted(unreadable, 'event')} cannot be read, so nobody can say whose they are.`);
  }
  to.out(note);
}

/** @throws RelayError `erasure_refused`, `erasure_incomplete`, `erasure_cancelled` */
function judge({ state, problem, result, dryRun }: ErasureView): void {
  if (state === 'cancelled' || result === null) {
    throw new RelayError('erasure_cancelled', `The erasure did not come to its end. ${problem}`, {
      hint: 'Run it again; what was erased stays so.',
    });
  }
  if (dryRun) return;
  const { erased, open } = result;
  if (!erased && open > 0) {
    const what = counted(open, 'delivery', 'deliveries');
    throw new RelayError(
      'erasure_refused',
      `Nothing was erased: ${what} of these events ${open === 1 ? 'is' : 'are'} open.`,
      {
        hint: 'Wait until they are delivered, or end them with --cancel-open.',
      },
    );
  }
  if (open === 0) return;
  throw new RelayError('erasure_incomplete', 'Some events were opened by a replay meanwhile and left.', {
    hint: 'Run it again when they are delivered, or with --cancel-open.',
  });
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
