import type { Command } from 'commander';
import {
  countReplay,
  type ReplayStartedView,
  type ReplayView,
  replayDelivery,
  showReplay,
  startReplay,
} from '../client/replays.ts';
import { wait } from '../clock.ts';
import { RelayError } from '../domain/errors.ts';
import { subjectsOf } from './deliveries.ts';
import { inert } from './print.ts';
import { openSession, type Session } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { badUsage, type CommonOptions, checkWindow, instantOption, verb } from './verb.ts';

interface ReplayOptions extends CommonOptions {
  readonly failed?: true;
  readonly skipped?: true;
  readonly delivered?: true;
  readonly subscriber?: string;
  readonly clinic?: string;
  readonly eventType?: string;
  readonly since?: string;
  readonly until?: string;
  readonly dryRun?: true;
  readonly wait: boolean;
}

const lookAgainMs = 500;

export function addReplay(program: Command, around: Surroundings): void {
  verb(program, 'replay [id]', 'send a delivery again, or all that failed')
    .option('--failed', 'all that failed; the ones that were skipped are left out')
    .option('--skipped', 'all that were skipped when their subscriber was resumed')
    .option('--delivered', 'all that were delivered already')
    .option('--subscriber <subscriber>', 'only this subscriber’s, by its id or name')
    .option('--clinic <clinic>', 'only this clinic’s, by its id or name')
    .option('--event-type <type>', 'only this type of event')
    .addOption(instantOption('--since <when>', 'made at or after', around.clock.now))
    .addOption(instantOption('--until <when>', 'made before', around.clock.now))
    .option('--dry-run', 'count them and send nothing')
    .option('--no-wait', 'return at once; the relay goes on')
    .action(async (id: string | undefined, options: ReplayOptions) => {
      checkUsage(id, options);
      const session = openSession(around, options);
      if (id === undefined) return replayAll(session, around, options);
      const started = await replayDelivery(session.call, id);
      if (session.asJson) session.to.json(started);
      else session.to.out(`${started.isFetched ? fetchedAgain : ''}${sentenceOf[started.kind]}`);
    });
}

const states = ['failed', 'skipped', 'delivered'] as const;

function checkUsage(id: string | undefined, options: ReplayOptions): void {
  const { dryRun, subscriber, clinic, eventType, since, until } = options;
  const named = states.filter((state) => options[state]);
  if (id === undefined && named.length !== 1) {
    throw badUsage('It is not clear what to replay.', 'Give a delivery’s id, or --failed.');
  }
  const narrowing = [dryRun, subscriber, clinic, eventType, since, until];
  if (id !== undefined && (named.length > 0 || narrowing.some((option) => option !== undefined))) {
    throw badUsage('One delivery’s id says it all.', 'Give the id alone, or --failed with its options.');
  }
  checkWindow(options);
}

const sentenceOf: Readonly<Record<ReplayStartedView['kind'], string>> = {
  newRound: 'It starts a new round and is due now.',
  due: 'It was waiting for its next attempt, which is due now.',
  inFlight: 'It is being sent at this moment; nothing was changed.',
  held: 'It is held, because its subscriber is not active; nothing was changed.',
};

const fetchedAgain = 'Its event was kept no longer and was fetched from Fullscript again. ';

async function replayAll(session: Session, around: Surroundings, options: ReplayOptions): Promise<void> {
  const { call, to, asJson } = session;
  const { eventType, since, until } = options;
  const state = states.find((each) => options[each]) ?? 'failed';
  const ask = { state, ...(await subjectsOf(call, options)), eventType, since, until };
  if (options.dryRun) {
    const count = await countReplay(call, ask);
    if (asJson) return to.json(count);
    const { matched, toFetch } = count;
    const first =
      toFetch > 0 ? `; the events of ${toFetch} of them would be fetched from Fullscript first` : '';
    return to.out(`${deliveries(matched)} would be sent again${first}.`);
  }
  const begun = await startReplay(call, ask);
  to.note(inert(`Replay ${begun.id} of ${deliveries(begun.matched)}; it goes on without this command.`));
  const ended = options.wait ? await untilEnded(session, around, begun) : begun;
  if (asJson) to.json(ended);
  else if (ended.state === 'running') to.out(inert(`Replay ${ended.id} is running.`));
  else to.out(`${ended.done} of ${deliveries(ended.matched)} went into the replay${exceptions(ended)}.`);
  if (ended.state === 'cancelled') {
    throw new RelayError('replay_cancelled', 'Somebody cancelled the replay before its end.', {
      hint: 'What was made due is sent; run it again for the rest.',
    });
  }
}

/** What was not an ordinary new round. */
function exceptions({ fetched, notKept, notFetched }: ReplayView): string {
  const parts = [
    fetched > 0 && `${fetched} with their event fetched from Fullscript again`,
    notKept > 0 && `${notKept} were left as they are: nobody has their event any more`,
    notFetched > 0 &&
      `${notFetched} were left as they are: their event could not be fetched now, replay them later`,
  ].filter((part) => part !== false);
  return parts.map((part) => `; ${part}`).join('');
}

function deliveries(count: number): string {
  return count === 1 ? '1 delivery' : `${count} deliveries`;
}

async function untilEnded(
  { call, to }: Session,
  around: Surroundings,
  begun: ReplayView,
): Promise<ReplayView> {
  let replay = begun;
  while (replay.state === 'running') {
    await wait(around.clock, lookAgainMs);
    const before = replay.done;
    replay = await showReplay(call, begun.id);
    if (replay.done !== before) to.note(`${replay.done} of ${replay.matched}`);
  }
  return replay;
}
