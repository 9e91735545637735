import type { Command } from 'commander';
import { RelayRefused, RelayUnreachable } from '../client/errors.ts';
import { type HeardEvent, type ListenAsk, listen } from '../client/listen.ts';
import { type Clock, wait } from '../clock.ts';
import type { ForwardedEvent, Forwarding } from '../delivery/forward.ts';
import { type Outcome, outcomeLabel, statusOf } from '../domain/attempt.ts';
import { secretProblem } from '../domain/signing-secret.ts';
import type { Subscriber } from '../domain/subscriber.ts';
import { newSubscriber } from '../domain/subscriber-input.ts';
import { readSecret } from './ask.ts';
import { clinicIdOf } from './named.ts';
import { inert, type Printer } from './print.ts';
import { openSession, type Session } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { badUsage, type CommonOptions, instantOption, listOption, verb } from './verb.ts';

interface ListenOptions extends CommonOptions {
  readonly forwardTo?: string;
  readonly profile: string;
  readonly secret?: string;
  readonly secretEnv?: string;
  readonly secretStdin?: true;
  readonly eventTypes?: readonly string[];
  readonly clinic?: string;
  readonly since?: string;
  readonly after?: string;
  readonly printBodies?: true;
}

/** Between two tries to come back to the relay, and to a receiver that is not there. */
const againMinMs = 1_000;
const againMaxMs = 30_000;

export function addListen(program: Command, around: Surroundings): void {
  verb(program, 'listen', 'show events as the relay records them, and forward them to a URL of yours')
    .option('--forward-to <url>', 'POST each of them there, signed: http://localhost:3000/hook')
    .option('--profile <profile>', 'wire format: fullscript or standard', 'fullscript')
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
      const ask = await askOf(session, options);
      const forwarding = receiver && (await import('../main.ts')).forwardTo(receiver, around.clock);
      if (receiver) announce(session.to, receiver, options);
      let sequence = 0;
      await hear(around, session, ask, async ({ body, ...event }, signal) => {
        const isSent = forwarding !== null && body !== null;
        if (isSent) sequence += 1;
        const forwarded = isSent
          ? await forward(forwarding, { id: event.id, body, sequence }, session.to, around.clock, signal)
          : null;
        if (isSent && forwarded === null) return;
        show(session, { ...event, body }, forwarded, options.printBodies === true);
      }).finally(() => forwarding?.close());
    });
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
    throw badUsage(`${url} is no URL.`, 'Write something like http://localhost:3000/hook.');
  }
  const problem = given === undefined ? null : secretProblem(profile, given);
  if (problem !== null) throw badUsage(`The secret ${problem}.`, 'Leave it out to have one made.');
  const about = { id: 'listen', owner: null, isDeclared: false, pauseReasons: [], createdAt: 0 };
  const secret = given === undefined ? {} : { secret: given };
  return newSubscriber({ name: 'listen', url, profile, ...secret }, about);
}

function announce(to: Printer, receiver: Subscriber, options: ListenOptions): void {
  to.note(`Events are forwarded to ${inert(receiver.url)}, signed for the profile ${receiver.profile}.`);
  const isOwn = options.secret ?? options.secretEnv ?? options.secretStdin;
  if (isOwn === undefined) to.note(`Their secret, for this run: ${receiver.secrets[0]?.value}`);
}

/**
 * Hears event after event until somebody stops it. A connection that breaks is made
 * again, and goes on after the last event that `take` was done with.
 */
async function hear(
  around: Surroundings,
  { address, to }: Pick<Session, 'address' | 'to'>,
  ask: ListenAsk,
  take: (event: HeardEvent, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { clock } = around;
  const stopped = new AbortController();
  const forget = around.onStopSignal(() => stopped.abort());
  const { signal } = stopped;
  let position = ask.after;
  let isConnected = false;
  let waitMs = againMinMs;
  try {
    while (!signal.aborted) {
      try {
        const from = position === undefined ? ask : { ...ask, after: position };
        for await (const heard of listen(address, from, { clock, signal })) {
          if (!isConnected)
            to.note(waitMs === againMinMs ? 'Listening; Ctrl-C stops it.' : 'Connected again.');
          isConnected = true;
          waitMs = againMinMs;
          if (heard.kind === 'event') await take(heard.event, signal);
          if (!signal.aborted) position = heard.position;
        }
      } catch (error) {
        if (position === undefined || !isPassing(error)) throw error;
      }
      if (signal.aborted) break;
      if (isConnected) to.note('The connection is gone; trying again.');
      isConnected = false;
      await wait(clock, waitMs, signal);
      waitMs = Math.min(2 * waitMs, againMaxMs);
    }
    if (position !== undefined) to.note(`Stopped. To go on from here: --after ${position}`);
  } finally {
    forget();
  }
}

/** It may be over by itself: the relay starts anew, or has too much to do. */
function isPassing(error: unknown): boolean {
  if (error instanceof RelayRefused) return error.status === 429 || error.status === 503;
  return error instanceof RelayUnreachable && error.code !== 'not_a_relay';
}

interface Forwarded {
  readonly outcome: Outcome;
  readonly durationMs: number;
}

/** Whoever develops a receiver restarts it all the time: while nobody is there, the event waits. */
async function forward(
  forwarding: Forwarding,
  event: ForwardedEvent,
  to: Printer,
  clock: Clock,
  signal: AbortSignal,
): Promise<Forwarded | null> {
  for (let waitMs = againMinMs; !signal.aborted; waitMs = Math.min(2 * waitMs, againMaxMs)) {
    const begin = clock.monotonic();
    const outcome = await forwarding.send(event);
    const isAway = outcome.kind === 'unreachable' && outcome.error === 'refused';
    if (!isAway) return { outcome, durationMs: Math.round(clock.monotonic() - begin) };
    if (waitMs === againMinMs) to.note('Nobody answers there yet; the event waits.');
    await wait(clock, waitMs, signal);
  }
  return null;
}

function show(
  { to, asJson }: Session,
  event: HeardEvent,
  forwarded: Forwarded | null,
  withBody: boolean,
): void {
  const { id, type, clinicId, recordedAt, body } = event;
  const outcome = forwarded && outcomeLabel(forwarded.outcome);
  if (asJson) {
    const { durationMs = null, status = null } = forwarded
      ? { durationMs: forwarded.durationMs, status: statusOf(forwarded.outcome) }
      : {};
    to.jsonLine({ id, type, clinicId, recordedAt, outcome, status, durationMs, ...(withBody && { body }) });
    return;
  }
  const isTaken = forwarded?.outcome.kind === 'accepted';
  const answered =
    forwarded &&
    ` → ${to.paint(isTaken ? 'green' : 'red', inert(outcome ?? ''))} in ${forwarded.durationMs} ms`;
  const noText = body === null ? ' (its text is no longer stored)' : '';
  to.out(
    `${recordedAt.slice(11, 19)}  ${inert(type)}  ${inert(id)}  ${inert(clinicId)}${answered ?? noText}`,
  );
  if (withBody && body !== null) to.out(inert(body));
}
