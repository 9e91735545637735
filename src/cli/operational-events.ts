import type { Command } from 'commander';
import { testOperationalEvents } from '../client/operational-events.ts';
import { RelayError } from '../domain/errors.ts';
import { inert } from './print.ts';
import { openSession } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { type CommonOptions, verb } from './verb.ts';

export function addOperationalEvents(program: Command, around: Surroundings): void {
  const group = program
    .command('operational-events')
    .description('what the relay tells its operator by itself');

  verb(group, 'test', 'send a relay.test to the configured URL').action(async (options: CommonOptions) => {
    const { call, to, asJson } = openSession(around, options);
    const tried = await testOperationalEvents(call);
    if (asJson) to.json(tried);
    else if (tried.taken) to.out(inert(`It was taken, with status ${tried.answer}.`));
    if (tried.taken) return;
    throw new RelayError('not_taken', `It was not taken: ${tried.answer}.`, {
      hint: 'Look at `operationalEvents.url` in the configuration, and at who answers there.',
    });
  });
}
