import type { IncomingMessage } from 'node:http';
import { InvalidInput, RelayError } from '../domain/errors.ts';

const bodyBytesMax = 100 * 1024;
const depthMax = 32;

/**
 * Reads a request's body as one JSON object; `undefined` when there is none.
 *
 * Stricter than a parser has to be, because what one reader overlooks another may act
 * on: no name twice in one object, none that is `__proto__`, no broken UTF-8, no half of a surrogate pair, no
 * compression, no other charset.
 *
 * @throws InvalidInput `invalid_json`; RelayError `media_type_unsupported`, `body_too_large`
 */
export async function readJsonBody(request: IncomingMessage): Promise<unknown> {
  if (!hasBody(request)) return undefined;
  checkType(request);
  const bytes = await bytesOf(request);
  return bytes.length === 0 ? undefined : parse(bytes);
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function checkType({ headers }: IncomingMessage): void {
  const encoding = headers['content-encoding'] ?? 'identity';
  const isJson = /^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i.test(headers['content-type'] ?? '');
  if (isJson && encoding === 'identity') return;
  throw new RelayError('media_type_unsupported', 'The body is not plain JSON in UTF-8.', {
    hint: 'Send `Content-Type: application/json` and no Content-Encoding.',
  });
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const tooLarge = new RelayError('body_too_large', `The body is larger than ${bodyBytesMax} bytes.`, {
    hint: 'No route needs more.',
  });
  if (Number(request.headers['content-length'] ?? 0) > bodyBytesMax) throw tooLarge;
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      length += (chunk as Buffer).length;
      if (length > bodyBytesMax) throw tooLarge;
      chunks.push(chunk as Buffer);
    }
  } catch (thrown) {
    if (thrown === tooLarge) throw thrown;
    // Its client went away, which is no fault of the relay's.
    throw invalid('The body ended before its length.');
  }
  return Buffer.concat(chunks);
}

function parse(bytes: Buffer): unknown {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch {
    // The parser's own message would repeat what was sent.
    throw invalid('The body is not JSON in UTF-8.');
  }
  checkShape(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid('The body is JSON and no object.');
  }
  if (hasLoneSurrogate(value)) throw invalid('The body has half of a surrogate pair.');
  return value;
}

/** Strings as wholes, so that what stands in them is not taken for structure. */
const tokens = /"(?:[^"\\]|\\.)*"|[{}[\],]/g;

/** @param text valid JSON; on anything else the search for strings would take its time. */
function checkShape(text: string): void {
  const open: (Set<string> | null)[] = [];
  let isName = false;
  for (const [token] of text.matchAll(tokens)) {
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(null);
    else if (token === '}' || token === ']') open.pop();
    if (open.length > depthMax) throw invalid(`The body is nested more than ${depthMax} deep.`);
    const names = open.at(-1);
    if (token.startsWith('"') && isName && names) {
      const name = JSON.parse(token) as string;
      if (names.has(name)) throw invalid('The body has a name twice in one object.');
      // A schema of free names, the static headers, would pass over it in silence.
      if (name === '__proto__') throw invalid('The body names something __proto__.');
      names.add(name);
    }
    isName = token === '{' || token === ',';
  }
}

function hasLoneSurrogate(value: unknown): boolean {
  if (typeof value === 'string') return /\p{Cs}/u.test(value);
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([name, part]) => /\p{Cs}/u.test(name) || hasLoneSurrogate(part));
}

function invalid(message: string): InvalidInput {
  return new InvalidInput('invalid_json', message, { hint: 'Send one JSON object.' });
}
