import { type Command, InvalidArgumentError, Option } from 'commander';
import { InvalidInput } from '../domain/errors.ts';
import { readStartFrom } from '../domain/start-from.ts';
import { readDuration, readInstant } from './instant.ts';

/** What every verb takes. */
export interface CommonOptions {
  readonly json?: true;
  readonly config: string;
}

export const defaultConfigPath = 'relay.config.json';

/** The command line asks for something that cannot be meant: exit code 2. */
export function badUsage(message: string, hint: string): InvalidInput {
  return new InvalidInput('usage', message, { hint });
}

/** Adds a verb, with what all verbs have, to the program or to a group of verbs. */
export function verb(parent: Command, usage: string, summary: string): Command {
  return parent
    .command(usage)
    .description(summary)
    .option('--json', 'print the result as JSON')
    .option('--config <file>', 'configuration file; .env is read from its folder', defaultConfigPath);
}

/**
 * Refuses, in every verb of the program, an option given twice and a value that looks
 * like the next option: the parser would quietly take the last one, and the wrong one.
 */
export function guardOptions(command: Command): void {
  for (const option of command.options) {
    let times = 0;
    command.on(`option:${option.name()}`, (value: string | null | undefined) => {
      times += 1;
      if (times > 1) throw badUsage(`${option.long} is given twice.`, 'Give it once.');
      if (option.required && typeof value === 'string' && value.startsWith('--')) {
        throw badUsage(`${option.long} has no value: ${value} follows it.`, `Write ${option.flags}.`);
      }
    });
  }
  for (const inner of command.commands) guardOptions(inner);
}

/** An option whose value is a whole number of that range; anything else is bad usage. */
export function numberOption(flags: string, summary: string, range: { min: number; max: number }): Option {
  return new Option(flags, summary).argParser((text) => wholeNumber(text, range));
}

function wholeNumber(text: string, { min, max }: { min: number; max: number }): number {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= min && number <= max)) {
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  }
  return number;
}

/** An option that names a moment; the value is an ISO instant in UTC. */
export function instantOption(flags: string, summary: string, now: () => number): Option {
  return new Option(flags, `${summary}: 30d, 12h or 15m ago, or an ISO instant`).argParser((text) => {
    const at = readInstant(text, now());
    if (at === null) {
      throw new InvalidArgumentError('Write 30d, 12h, 15m, or an instant such as 2026-11-22T08:00:00Z.');
    }
    return new Date(at).toISOString();
  });
}

/** An option that names where something begins, `now` among others; the value is the text, which the relay reads. */
export function startOption(flags: string, summary: string): Option {
  return new Option(flags, `${summary}: 30d, 12h, 15m, or an ISO instant`).argParser((text) => {
    if (readStartFrom(text) !== null) return text;
    throw new InvalidArgumentError('Write now, 30d, 12h, 15m, or an instant such as 2026-11-22T08:00:00Z.');
  });
}

/** An option that is a length of time; the value is in milliseconds. */
export function durationOption(flags: string, summary: string): Option {
  return new Option(flags, summary).argParser((text) => {
    const durationMs = readDuration(text);
    if (durationMs === null) throw new InvalidArgumentError('Write 30d, 12h, 15m or 90s.');
    return durationMs;
  });
}

/** An option that lists words, `a,b`; an empty value is the empty list. */
export function listOption(flags: string, summary: string): Option {
  return new Option(flags, summary).argParser((text) => {
    const words = text.split(',').map((word) => word.trim());
    if (text.trim() === '') return [];
    if (words.includes('')) throw new InvalidArgumentError('There is an empty word between the commas.');
    return words;
  });
}

/** An option that is a number of requests a second, `0.5`. */
export function rateOption(flags: string, summary: string): Option {
  return new Option(flags, summary).argParser((text) => {
    if (!/^\d{1,4}(\.\d{1,3})?$/.test(text))
      throw new InvalidArgumentError('Write a number such as 5 or 0.5.');
    return Number(text);
  });
}

/** An option that lists seconds, `5,300`. */
export function secondsOption(flags: string, summary: string): Option {
  return new Option(flags, summary).argParser((text) =>
    text.split(',').map((word) => wholeNumber(word.trim(), { min: 0, max: 604_800 })),
  );
}

/** Refuses a window that ends before it begins. */
export function checkWindow({ since, until }: { since?: string; until?: string }): void {
  if (since !== undefined && until !== undefined && since > until) {
    throw badUsage(`--since (${since}) is later than --until (${until}).`, 'Swap them, or leave one out.');
  }
}
