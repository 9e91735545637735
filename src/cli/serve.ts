import type { Command } from 'commander';
import { jsonLogger } from '../logger.ts';
import { logOutput } from './log-output.ts';
import { printer } from './print.ts';
import { configOf } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { type CommonOptions, verb } from './verb.ts';

export function addServe(program: Command, around: Surroundings): void {
  verb(program, 'serve', 'run the relay: poll, deliver, answer the API').action(
    async (options: CommonOptions) => {
      const { config } = await configOf(around, options.config);
      const { startRelay } = await import('../main.ts');
      const logger = jsonLogger('info', logOutput(around.stdout, around.clock.wall));
      const relay = await startRelay({ config, logger });
      const to = printer(around.stdout, around.stderr, around.env);
      to.note(`The relay answers at ${relay.url}; Ctrl-C stops it.`);
      await untilStopped(around, relay);
    },
  );
}

/**
 * Resolves when a signal has stopped what runs, and rejects when it failed. A second signal
 * ends the process at once: what was acknowledged is durable already.
 */
export async function untilStopped(
  around: Surroundings,
  running: { stop(): Promise<void>; readonly failed: Promise<never> },
): Promise<void> {
  let signals = 0;
  const asked = new Promise<void>((resolve) => {
    around.onStopSignal(() => {
      signals += 1;
      if (signals > 1) process.exit(1);
      resolve();
    });
  });
  await Promise.race([asked, running.failed]);
  await Promise.race([running.stop(), running.failed]);
}
