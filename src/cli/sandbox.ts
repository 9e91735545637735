import { type Command, Option } from 'commander';
import { printer } from './print.ts';
import { untilStopped } from './serve.ts';
import type { Surroundings } from './surroundings.ts';
import { type CommonOptions, numberOption, verb } from './verb.ts';

interface SandboxOptions extends CommonOptions {
  readonly port: number;
  readonly host: string;
  readonly seed?: number;
  readonly eventsPerMinute: number;
}

export function addSandbox(program: Command, around: Surroundings): void {
  verb(program, 'sandbox', 'run the offline Fullscript')
    .addOption(
      numberOption('--port <n>', 'port; 0 takes any free one', { min: 0, max: 65_535 }).default(4010),
    )
    .addOption(new Option('--host <host>', 'address; it asks nobody for a password').default('127.0.0.1'))
    .addOption(numberOption('--seed <n>', 'makes the same events again', { min: 0, max: 999_999_999 }))
    .addOption(numberOption('--events-per-minute <n>', 'random events', { min: 0, max: 60_000 }).default(6))
    .action(async (options: SandboxOptions) => {
      const { port, host, seed, eventsPerMinute } = options;
      const { startSandbox } = await import('../sandbox/server.ts');
      const sandbox = await startSandbox({
        port,
        host,
        clock: around.clock,
        eventsPerMinute,
        ...(seed === undefined ? {} : { seed }),
      });
      const to = printer(around.stdout, around.stderr, around.env);
      if (options.json) to.json({ url: sandbox.url, apiUrl: `${sandbox.url}/api` });
      else to.out(`The offline Fullscript answers at ${sandbox.url}/api; Ctrl-C stops it.`);
      await untilStopped(around, { stop: () => sandbox.close(), failed: new Promise<never>(() => {}) });
    });
}
