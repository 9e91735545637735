import type { Command } from 'commander';
import { replayDelivery, showReplay, startReplay } from '../client/replays.ts';
import type { ReplayStartedView, ReplayView } from '../client/views.ts';
import { wait } from '../clock.ts';
import { RelayError } from '../domain/errors.ts';
import { subjectsOf } from './deliveries.ts';
import { inert } from './print.ts';
import { openSession, type Session } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { badUsage, type CommonOptions, checkWindow, instantOption, verb } from './verb.ts';

interface ReplayOptions extends CommonOptions {
  readonly failed?: true;
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
      else session.to.out(sentenceOf[started.kind]);
    });
}

function checkUsage(id: string | undefined, options: ReplayOptions): void {
  const { failed, dryRun, subscriber, clinic, eventType, since, until } = options;
  if (id === undefined && failed === undefined) {
    throw badUsage('It is not clear what to replay.', 'Give a delivery’s id, or --failed.');
  }
  const narrowing = [failed, dryRun, subscriber, clinic, eventType, since, until];
  if (id !== undefined && narrowing.some((option) => option !== undefined)) {
    throw badUsage('One delivery’s id says it all.', 'Give the id alone, or --failed with its options.');
  }
  checkWindow(options);
}

const sentenceOf: Readonly<Record<ReplayStartedView['kind'], string>> = {
  newRound: 'It starts a new round and is due now.',
  due: 'It was waiting for its next attempt, which is due now.',
  inFlight: 'It is being sent at this moment; nothing was changed.',
  held: 'It is held, because its subscriber is not active; nothing was changed.',
  cancelled: 'It was cancelled and is never sent again.',
};

async function replayAll(session: Session, around: Surroundings, options: ReplayOptions): Promise<void> {
  const { call, to, asJson } = session;
  const { eventType, since, until, dryRun } = options;
  const begun = await startReplay(call, {
    state: 'failed',
    ...(await subjectsOf(call, options)),
    eventType,
    since,
    until,
    dryRun,
  });
  if (dryRun) {
    if (asJson) return to.json(begun);
    return to.out(`${begun.matched} failed deliveries would be sent again.`);
  }
  to.note(inert(`Replay ${begun.id}: ${begun.matched} failed deliveries. It goes on without this command.`));
  const ended = options.wait ? await untilEnded(session, around, begun) : begun;
  if (asJson) to.json(ended);
  else if (ended.state === 'running') to.out(inert(`Replay ${ended.id} is running.`));
  else to.out(`${ended.done} of ${ended.matched} deliveries are due again.`);
  if (ended.state === 'cancelled') {
    throw new RelayError('replay_cancelled', 'Somebody cancelled the replay before its end.', {
      hint: 'What was made due is sent; run it again for the rest.',
    });
  }
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
