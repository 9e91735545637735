import type { Config } from '../config.ts';
import { type Guards, refusedOf } from '../delivery/guards.ts';
import { InvalidInput } from '../domain/errors.ts';

/** @throws InvalidInput */
export function vetDeclared(config: Config, guards: Guards): void {
  const problems = refusedOf(config, guards);
  if (problems.length === 0) return;
  const lines = problems.map(({ path, message }) => `  ${path}: ${message}`);
  throw new InvalidInput('config_invalid', `The configuration has mistakes:\n${lines.join('\n')}`, {
    hint: 'Correct what is named, then try again; `relay check` looks without starting.',
    problems,
  });
}
