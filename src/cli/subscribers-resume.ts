import type { Command } from 'commander';
import type { CallApi } from '../client/relay-api.ts';
import { listSubscribers, type ResumedSubscriberView, resumeSubscriber } from '../client/subscribers.ts';
import { oneOrRestored, subscriberIdOf } from './named.ts';
import { inert, type Printer } from './print.ts';
import { openSession } from './session.ts';
import { stateLine } from './subscriber-state.ts';
import type { Surroundings } from './surroundings.ts';
import { type CommonOptions, verb } from './verb.ts';

interface ResumeOptions extends CommonOptions {
  readonly skip?: true;
  readonly restored?: true;
}

export function addResumeSubscriber(group: Command, around: Surroundings): void {
  verb(group, 'resume [subscriber]', 'send to one again')
    .option('--skip', 'end what was held as failed instead of sending it')
    .option('--restored', 'all that are held since the log was restored from a backup')
    .action(async (idOrName: string | undefined, options: ResumeOptions) => {
      const one = oneOrRestored(idOrName, options.restored);
      const { call, to, asJson } = openSession(around, options);
      const backlog = options.skip ? 'skip' : 'deliver';
      if (one !== null) {
        const resumed = await resumeSubscriber(call, await subscriberIdOf(call, one[0]), backlog);
        return asJson ? to.json(resumed) : print(to, resumed);
      }
      const data: ResumedSubscriberView[] = [];
      for (const id of await restored(call)) data.push(await resumeSubscriber(call, id, backlog));
      if (asJson) return to.json({ data });
      if (data.length === 0) to.note('No subscriber is held since a restore.');
      for (const resumed of data) print(to, resumed);
    });
}

async function restored(call: CallApi): Promise<readonly string[]> {
  const subscribers = await listSubscribers(call);
  return subscribers.filter(({ pauseReasons }) => pauseReasons.includes('restored')).map(({ id }) => id);
}

function print(to: Printer, resumed: ResumedSubscriberView): void {
  to.out(stateLine(resumed));
  const { handshakeResult } = resumed;
  if (handshakeResult?.passed === false) {
    to.note(inert(`handshake: ${handshakeResult.message}`));
    to.note(`  ${inert(handshakeResult.hint)}`);
  }
}
