import { styleText } from 'node:util';
import { RelayRefused } from '../client/errors.ts';
import { InvalidInput, RelayError } from '../domain/errors.ts';

/** Where a verb's words go. Results go to `out`; what only accompanies them goes to `note`. */
export interface Printer {
  /** A line of the result, on standard output. Stored text in it must have gone through `inert`. */
  out(line: string): void;
  /** A line beside the result (progress, warnings, hints), on standard error. */
  note(line: string): void;
  /** The result as one JSON document, on standard output. */
  json(value: unknown): void;
  /** One of many results, as JSON on a line of its own. */
  jsonLine(value: unknown): void;
  /** Width of the terminal in columns; 80 where there is none. */
  readonly columns: number;
  paint(colour: Colour, text: string): string;
}

export type Colour = 'green' | 'red' | 'yellow' | 'gray' | 'bold';

export interface OutputStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  /** Bytes that nobody has taken yet. */
  readonly writableLength?: number;
}

/**
 * Colour only on a terminal that can show it: NO_COLOR (of any value but the empty one)
 * and TERM=dumb are honoured. Source: no-color.org.
 */
export function printer(
  stdout: OutputStream,
  stderr: OutputStream,
  env: Readonly<Record<string, string | undefined>>,
): Printer {
  const isPlain = stdout.isTTY !== true || (env.NO_COLOR ?? '') !== '' || env.TERM === 'dumb';
  return {
    out: (line) => stdout.write(`${line}\n`),
    note: (line) => stderr.write(`${line}\n`),
    json: (value) => stdout.write(`${inertJson(value, 2)}\n`),
    jsonLine: (value) => stdout.write(`${inertJson(value, 0)}\n`),
    columns: stdout.columns || 80,
    paint: (colour, text) => (isPlain ? text : styleText(colour, text, { validateStream: false })),
  };
}

/**
 * What a terminal would act on instead of showing: control characters, the marks that
 * turn the direction of a line, and line separators.
 */
const active = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Text of others (names, answers, problems) as something that can only be read: `\u{1b}[31m`. */
export function inert(text: string): string {
  return text.replace(active, (character) => {
    if (character === '\n') return '\\n';
    if (character === '\t') return '\\t';
    return `\\u{${character.charCodeAt(0).toString(16)}}`;
  });
}

/** JSON that a terminal can show as it is: the same value, the active characters escaped as JSON does. */
function inertJson(value: unknown, indent: number): string {
  return JSON.stringify(value, null, indent).replace(active, (character) =>
    // The line ends and indents are JSON's own; inside strings they are escaped already.
    character === '\n' ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** What was done and is probably not meant, beside the result. */
export function printWarnings(to: Printer, warnings: readonly string[]): void {
  for (const warning of warnings) to.note(`warning: ${inert(warning)}`);
}

/** What went wrong in one line, what to do in another; never a stack trace. */
export function printError(to: Printer, thrown: unknown, asJson: boolean): void {
  const { code, message, hint, problems } = told(thrown);
  if (asJson) {
    to.note(JSON.stringify({ error: { code, message, hint, problems } }));
    return;
  }
  // What follows the first line tells the problems, which stand below.
  to.note(`relay: ${inert(message.split('\n')[0] ?? '')}`);
  for (const { path, message: problem } of problems) {
    to.note(`  ${inert(path === '' ? problem : `${path}: ${problem}`)}`);
  }
  to.note(`  ${inert(hint)}`);
}

function told(thrown: unknown) {
  if (thrown instanceof RelayError) {
    const problems = thrown instanceof InvalidInput || thrown instanceof RelayRefused ? thrown.problems : [];
    return { code: thrown.code, message: thrown.message, hint: thrown.hint, problems };
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return {
    code: 'unexpected',
    message,
    hint: 'This is a fault of the relay itself: please report it with the command that you ran.',
    problems: [],
  };
}
