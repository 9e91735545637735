import { type Command, Option } from 'commander';
import type { ListenAsk } from '../client/listen.ts';
import { type Clock, wait } from '../clock.ts';
import type { ForwardedEvent, Forwarding } from '../delivery/forward.ts';
import { type Outcome, outcomeLabel, statusOf } from '../domain/attempt.ts';
import { RelayError } from '../domain/errors.ts';
import { secretProblem } from '../domain/signing-secret.ts';
import type { Envelope, Subscriber } from '../domain/subscriber.ts';
import { newSubscriber } from '../domain/subscriber-input.ts';
import { readSecret } from './ask.ts';
import { againMaxMs, againMinMs, type HeardMessage, hear } from './hear.ts';
import { clinicIdOf } from './named.ts';
import { inert, type Printer } from './print.ts';
import { openSession, type Session } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { badUsage, type CommonOptions, instantOption, listOption, verb } from './verb.ts';

interface ListenOptions extends CommonOptions {
  readonly forwardTo?: string;
  readonly profile: string;
  readonly envelope?: Envelope;
  readonly thin?: true;
  readonly secret?: string;
  readonly secretEnv?: string;
  readonly secretStdin?: true;
  readonly eventTypes?: readonly string[];
  readonly clinic?: string;
  readonly since?: string;
  readonly after?: string;
  readonly printBodies?: true;
}

export function addListen(program: Command, around: Surroundings): void {
  verb(program, 'listen', 'show events as the relay records them, and forward them to a URL of yours')
    .option('--forward-to <url>', 'POST each of them there, signed: http://localhost:3000/hook')
    .option('--profile <profile>', 'wire format: fullscript or standard', 'fullscript')
    .addOption(
      new Option('--envelope <envelope>', 'what is put round the event').choices([
        'event',
        'event_payload',
        'both',
      ]),
    )
    .option('--thin', 'forward ids only, nothing of a patient’s')
    .option('--secret-stdin', 'read the secret that signs from standard input')
    .option('--secret-env <name>', 'environment variable that holds it')
    .option('--secret <secret>', 'the secret itself; a fresh one is made and shown unless one is given')
    .addOption(listOption('--event-types <types>', 'patterns such as order.*,patient.created'))
    .option('--clinic <clinic>', 'one clinic, by its id or name')
    .addOption(instantOption('--since <when>', 'begin with what was recorded since', around.clock.now))
    .option('--after <position>', 'go on where an earlier run ended')
    .option('--print-bodies', 'print the exact text of each event')
    .action(async (options: ListenOptions) => {
      const session = openSession(around, options);
      const receiver = await receiverOf(around, session, options);
      const forwarding = receiver && (await import('../main/here.ts')).forwardTo(receiver, around.clock);
      const ask = await askOf(session, options);
      if (receiver) announce(session.to, receiver, options);
      let sequence = 0;
      const notTaken: string[] = [];
      await hear(around, session, ask, async (heard, before, signal) => {
        const { id, body } = heard.event;
        if (forwarding === null || body === null) {
          show(session, heard, null, options.printBodies === true);
          return true;
        }
        sequence += 1;
        const event = { id, body, sequence };
        const forwarded = await forward(forwarding, event, session.to, around.clock, signal);
        if (forwarded === null) return false;
        show(session, heard, forwarded, options.printBodies === true);
        if (forwarded.outcome.kind !== 'accepted') {
          const again = againFrom(before, ask);
          notTaken.push(again);
          session.to.note(`  It was not taken.${again}`);
        }
        return true;
      }).finally(() => forwarding?.close());
      if (notTaken.length > 0) {
        session.to.note(`Not taken: ${notTaken.length} of ${sequence}.${notTaken[0]}`);
      }
    });
}

/** How to have it forwarded once more, with all that came behind it. */
function againFrom(before: string | null, { since }: ListenAsk): string {
  if (before !== null) return ` To forward again from there: --after ${inert(before)}`;
  return since === undefined ? '' : ` To forward again from there: --since ${since}`;
}

async function askOf({ call }: Session, options: ListenOptions): Promise<ListenAsk> {
  if (options.since !== undefined && options.after !== undefined) {
    throw badUsage('--since and --after both say where to begin.', 'Choose one of them.');
  }
  const { eventTypes, clinic, since, after } = options;
  return {
    ...(eventTypes !== undefined && eventTypes.length > 0 && { eventTypes: eventTypes.join(',') }),
    ...(clinic !== undefined && { clinicId: await clinicIdOf(call, clinic) }),
    ...(since !== undefined && { since }),
    ...(after !== undefined && { after }),
  };
}

/** Whom events are forwarded to; `null` when they are shown only. */
async function receiverOf(
  around: Surroundings,
  { env, to }: Session,
  options: ListenOptions,
): Promise<Subscriber | null> {
  const { forwardTo: url, profile } = options;
  const given = await readSecret(around, env, options, to.note);
  if (profile !== 'fullscript' && profile !== 'standard') {
    throw badUsage(`There is no profile ${profile}.`, 'Write fullscript or standard.');
  }
  if (url === undefined) {
    if (given === undefined) return null;
    throw badUsage('A secret signs what is forwarded, and nothing is.', 'Add --forward-to URL.');
  }
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw badUsage('--forward-to is no URL.', 'Write something like http://localhost:3000/hook.');
  }
  const problem = given === undefined ? null : secretProblem(profile, given);
  if (problem !== null) throw badUsage(`The secret ${problem}.`, 'Leave it out to have one made.');
  const about = { id: 'listen', owner: null, isDeclared: false, pauseReasons: [], createdAt: 0 };
  const { envelope, thin } = options;
  return newSubscriber({ name: 'listen', url, profile, secret: given, envelope, thin }, about);
}

function announce(to: Printer, receiver: Subscriber, options: ListenOptions): void {
  to.note(`Events are forwarded to ${inert(receiver.url)}, signed for the profile ${receiver.profile}.`);
  const isOwn = options.secret ?? options.secretEnv ?? options.secretStdin;
  if (isOwn === undefined)
    to.note(`Their secret, for this run (--secret-env keeps one): ${receiver.secrets[0]?.value}`);
}

interface Forwarded {
  readonly outcome: Outcome;
  readonly durationMs: number;
}

/**
 * Whoever develops a receiver restarts it all the time: while nobody is there, the event
 * waits. `null` when it was stopped before there was an answer.
 *
 * @throws RelayError `url_refused` once the name of the receiver leads where nothing may be sent
 */
async function forward(
  forwarding: Forwarding,
  event: ForwardedEvent,
  to: Printer,
  clock: Clock,
  signal: AbortSignal,
): Promise<Forwarded | null> {
  for (let waitMs = againMinMs; !signal.aborted; waitMs = Math.min(2 * waitMs, againMaxMs)) {
    const begin = clock.monotonic();
    const outcome = await forwarding.send(event, signal);
    if (outcome.kind === 'interrupted') break;
    if (outcome.kind === 'blocked') {
      throw new RelayError('url_refused', `Events cannot be forwarded there: ${outcome.reason}.`, {
        hint: 'Forward to your own machine or network, or by https.',
      });
    }
    const isAway = outcome.kind === 'unreachable' && outcome.error === 'refused';
    if (!isAway) return { outcome, durationMs: Math.round(clock.monotonic() - begin) };
    if (waitMs === againMinMs) to.note('Nobody answers there yet; the event waits.');
    await wait(clock, waitMs, signal);
  }
  return null;
}

function show(
  { to, asJson }: Session,
  { event, position }: HeardMessage,
  forwarded: Forwarded | null,
  withBody: boolean,
): void {
  const { id, type, clinicId, recordedAt, body } = event;
  const outcome = forwarded && outcomeLabel(forwarded.outcome);
  if (asJson) {
    const { durationMs = null, status = null } = forwarded
      ? { durationMs: forwarded.durationMs, status: statusOf(forwarded.outcome) }
      : {};
    const text = withBody ? { body } : {};
    to.jsonLine({ position, id, type, clinicId, recordedAt, outcome, status, durationMs, ...text });
    return;
  }
  const isTaken = forwarded?.outcome.kind === 'accepted';
  const answered =
    forwarded &&
    ` → ${to.paint(isTaken ? 'green' : 'red', inert(outcome ?? ''))} in ${forwarded.durationMs} ms`;
  const noText = body === null ? ' (its text is no longer stored)' : '';
  to.out(
    `${recordedAt.slice(11, 19)}  ${inert(type)}  ${inert(id)}  ${inert(clinicId)}${answered ?? noText}  ${to.paint('gray', inert(position))}`,
  );
  if (withBody && body !== null) to.out(inert(body));
}
