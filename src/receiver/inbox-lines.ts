import { RelayError } from '../domain/errors.ts';
import type { Handled } from './handled-events.ts';

/** The first line, so that no other file is ever taken for an inbox and cut. */
const firstLine = `${JSON.stringify({ inbox: 'fullscript-relay', version: 1 })}\n`;

export function linesOf(handled: Iterable<Handled>): string {
  return firstLine + [...handled].map(lineOf).join('');
}

export function lineOf({ eventId, round, signedAt, at }: Handled): string {
  return `${JSON.stringify({ eventId, round, signedAt, at })}\n`;
}

/**
 * Reads an inbox file. What a crash left half written at its end is left out: nobody was
 * told of it. Nothing else may be wrong with it.
 *
 * @returns the events in the order of their lines, and how many bytes hold them.
 * @throws RelayError `inbox_foreign`, `inbox_damaged`
 */
export function readLines(file: Buffer, path: string): { handled: readonly Handled[]; bytes: number } {
  if (!file.subarray(0, firstLine.length).equals(Buffer.from(firstLine))) {
    throw new RelayError('inbox_foreign', `${path} is not an inbox.`, {
      hint: 'Name another file; one is made where there is none.',
    });
  }
  const handled: Handled[] = [];
  let bytes = firstLine.length;
  let torn: number | null = null;
  for (let start = bytes, number = 2; start < file.length; number += 1) {
    const newline = file.indexOf(0x0a, start);
    const end = newline === -1 ? file.length : newline;
    const read = newline === -1 ? null : readLine(file.toString('utf8', start, end));
    start = end + 1;
    if (read === null) torn ??= number;
    else if (torn !== null) throw damaged(path, torn);
    else {
      handled.push(read);
      bytes = start;
    }
  }
  return { handled, bytes };
}

function readLine(line: string): Handled | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    return null;
  }
  const { eventId, round, signedAt, at } = (parsed ?? {}) as Partial<Record<keyof Handled, unknown>>;
  if (typeof eventId !== 'string' || ![round, signedAt, at].every(Number.isFinite)) return null;
  return parsed as Handled;
}

function damaged(path: string, line: number): RelayError {
  return new RelayError('inbox_damaged', `Line ${line} of ${path} cannot be read, and later ones can.`, {
    hint: 'Restore the file, or delete that line: the event that stood in it may be handled again.',
  });
}
