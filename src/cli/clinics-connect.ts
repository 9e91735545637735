import type { Command } from 'commander';
import { type ConnectLink, type ConnectOutcome, connectClinic, connectOutcome } from '../client/clinics.ts';
import { RelayUnreachable } from '../client/errors.ts';
import type { CallApi } from '../client/relay-api.ts';
import { wait } from '../clock.ts';
import { RelayError } from '../domain/errors.ts';
import { shownInstant } from './instant.ts';
import { inert } from './print.ts';
import { openSession, type Session } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { type CommonOptions, verb } from './verb.ts';

interface ConnectOptions extends CommonOptions {
  readonly name?: string;
  readonly wait: boolean;
}

const lookAgainMs = 1_000;
/** As long as a link is good, and a little for the page that comes back at its end. */
const waitMaxMs = 10 * 60_000 + 15_000;

export function addConnect(group: Command, around: Surroundings): void {
  verb(group, 'connect', 'print a link, and wait until a user of the clinic has allowed the app there')
    .option('--name <name>', 'its name in filters and tables; without, it is called as Fullscript calls it')
    .option('--no-wait', 'return at once: `relay clinics list` shows what came of it')
    .action(async (options: ConnectOptions) => {
      const session = openSession(around, options);
      const { call, to, asJson } = session;
      const link = await connectClinic(call, options.name);
      if (asJson && !options.wait) return to.json(link);
      to.note('A user of the clinic opens this link, within ten minutes and once, and allows the app there:');
      // With --json the result is what comes of it.
      (asJson ? to.note : to.out)(inert(link.authorizeUrl));
      if (!options.wait) return;
      to.note('Waiting for that; Ctrl-C stops the waiting, and leaves the link as it is.');
      const outcome = await untilUsed(session, around, link);
      if (asJson) to.json({ ...link, ...outcome });
      if (outcome.state === 'failed') {
        throw new RelayError('clinic_not_connected', `No clinic was connected: ${outcome.reason}.`, {
          hint: '`relay clinics connect` makes another link.',
        });
      }
      if (!asJson) to.out(inert(`${outcome.name} (${outcome.clinicId}) is connected.`));
    });
}

/** @throws RelayError `waiting_stopped` on Ctrl-C, `link_expired` when nobody used the link */
async function untilUsed(
  { call, to }: Session,
  { clock, onStopSignal }: Surroundings,
  link: ConnectLink,
): Promise<ConnectOutcome> {
  const stopped = new AbortController();
  const stopListening = onStopSignal(() => stopped.abort());
  const until = clock.monotonic() + waitMaxMs;
  let last: ConnectOutcome | null = null;
  try {
    while (!stopped.signal.aborted) {
      const outcome: ConnectOutcome | null = await look(call, link.connectionId);
      if (outcome !== null && outcome.state !== 'waiting') return outcome;
      if (outcome === null && last !== null) to.note('The relay does not answer; the link stays good.');
      if (outcome !== null && last !== null && outcome.reason !== last.reason) {
        to.note(inert(`Waiting: ${outcome.reason}.`));
      }
      last = outcome;
      if (clock.monotonic() >= until) throw expired(last);
      await wait(clock, lookAgainMs, stopped.signal);
    }
  } finally {
    stopListening();
  }
  throw new RelayError('waiting_stopped', 'Nobody waits for the link any more.', {
    hint: `It is good until ${shownInstant(link.expiresAt)}; \`relay clinics list\` shows what came of it.`,
  });
}

/** `null` when the relay does not answer: it may be starting again, and a link outlives that. */
async function look(call: CallApi, connectionId: string): Promise<ConnectOutcome | null> {
  try {
    return await connectOutcome(call, connectionId);
  } catch (error) {
    if (error instanceof RelayUnreachable) return null;
    throw error;
  }
}

function expired(last: ConnectOutcome | null): RelayError {
  const reason = last?.reason ?? 'the relay does not answer';
  return new RelayError('link_expired', `The link has expired: ${reason}.`, {
    hint: '`relay clinics list` shows what there is; `relay clinics connect` makes another link.',
  });
}
