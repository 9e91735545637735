import type { Command } from 'commander';
import { showStatus } from '../client/status.ts';
import { openSession } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { type CommonOptions, verb } from './verb.ts';

export function addStatus(program: Command, around: Surroundings): void {
  verb(program, 'status', 'how far the relay is, and what needs somebody').action(
    async (options: CommonOptions) => {
      const { call, to, asJson } = openSession(around, options);
      const status = await showStatus(call);
      if (asJson) return to.json(status);
    },
  );
}
