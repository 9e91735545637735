import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { InvalidInput } from '../domain/errors.ts';
import type { Surroundings } from './surroundings.ts';

/** An event that a script processed, as its list names it. */
export interface SeenEvent {
  readonly id: string;
  readonly type: string | null;
  /** As it stands there. */
  readonly createdAt: string | null;
}

const bytesMax = 64 * 1024 * 1024;
const idLengthMax = 1_024;
const badLinesShown = 10;
const headers = new Set(['id', 'eventid', 'event_id', 'event id']);

/**
 * Reads a list of events: one id a line, CSV with the id in its first column (a first line
 * that names it is passed over), or a JSON object a line with `id`, and if it has them
 * `type` and `created_at`. Empty lines are passed over, and an id counts once.
 *
 * @param path `-` for standard input.
 * @throws InvalidInput `seen_list_invalid` that names every bad line by its number
 */
export async function readSeenFile(around: Surroundings, path: string): Promise<readonly SeenEvent[]> {
  const text = path === '-' ? await readAll(around) : readFile(resolve(around.folder, path));
  const events = new Map<string, SeenEvent>();
  const bad: number[] = [];
  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const trimmed = line.trim();
    if (trimmed === '' || (index === 0 && headers.has(firstColumn(trimmed)?.toLowerCase() ?? ''))) continue;
    const event = trimmed.startsWith('{') ? fromJson(trimmed) : fromColumn(trimmed);
    if (event === null) bad.push(index + 1);
    else if (!events.has(event.id)) events.set(event.id, event);
  }
  if (bad.length > 0) {
    const shown = bad.slice(0, badLinesShown).join(', ');
    const more = bad.length > badLinesShown ? ` and ${bad.length - badLinesShown} more` : '';
    const lines = bad.length === 1 ? 'line' : 'lines';
    throw invalid(`No id of an event can be read from ${lines} ${shown}${more}; nothing was taken over.`);
  }
  if (events.size === 0) throw invalid('It holds no ids.');
  return [...events.values()];
}

function fromJson(line: string): SeenEvent | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  const object = value as Record<string, unknown>;
  const id = object.id ?? object.eventId ?? object.event_id;
  if (typeof id !== 'string' || !isId(id)) return null;
  return { id, type: textOf(object.type), createdAt: textOf(object.created_at ?? object.createdAt) };
}

function fromColumn(line: string): SeenEvent | null {
  const id = firstColumn(line);
  return id !== null && isId(id) ? { id, type: null, createdAt: null } : null;
}

/** `null` when a quote is not closed. */
function firstColumn(line: string): string | null {
  if (!line.startsWith('"')) return line.split(/[,;\t]/, 1)[0]?.trim() ?? '';
  const quoted = /^"((?:[^"]|"")*)"\s*(?:[,;\t]|$)/.exec(line)?.[1];
  return quoted === undefined ? null : quoted.replaceAll('""', '"').trim();
}

function isId(text: string): boolean {
  return text.length > 0 && text.length <= idLengthMax && !/[\p{C}\s]/u.test(text);
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function readFile(path: string): string {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw invalid(`${path} is no regular file.`);
    if (stat.size > bytesMax) throw invalid(`${path} is larger than 64 MiB.`);
    return decoded(readFileSync(path));
  } catch (error) {
    if (error instanceof InvalidInput) throw error;
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    const message = code === 'ENOENT' ? `There is no file ${path}.` : `${path} cannot be read: ${code}.`;
    throw invalid(message, 'Name a file that this user may read, or - for standard input.');
  }
}

async function readAll({ stdin }: Surroundings): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stdin) {
    const buffer = Buffer.from(chunk);
    bytes += buffer.length;
    if (bytes > bytesMax) throw invalid('Standard input is longer than 64 MiB.');
    chunks.push(buffer);
  }
  return decoded(Buffer.concat(chunks));
}

function decoded(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw invalid('It is not UTF-8 text.');
  }
}

function invalid(
  message: string,
  hint = 'Give one id a line, CSV with the id in its first column, or a JSON object with "id" a line.',
): InvalidInput {
  return new InvalidInput('seen_list_invalid', message, { hint });
}
