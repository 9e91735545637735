/**
 * What is wrong with a header that a subscriber wants on every request, as the rest of a
 * sentence; `null` when it is good. What the relay or the connection says of a request by
 * itself cannot be said again: two answers to one question are how requests get smuggled.
 *
 * Source of the token's letters: RFC 9110, 5.6.2.
 */
export function headerNameProblem(name: string): string | null {
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/.test(name)) return 'is no header name';
  const lower = name.toLowerCase();
  if (ownNames.has(lower) || ownPrefixes.some((prefix) => lower.startsWith(prefix))) {
    return 'is a header that the relay sets by itself';
  }
  return null;
}

/** The value as the rest of a sentence about it; it is never quoted, because it is mostly a password. */
export function headerValueProblem(value: string): string | null {
  if (value.length > valueLengthMax) return 'must have a value of 1,024 characters at most';
  if (!/^[\x20-\x7e]+$/.test(value)) return 'must have a value of printable ASCII, on one line';
  return value.trim() === value ? null : 'must have a value that neither begins nor ends with a space';
}

const valueLengthMax = 1024;

const ownPrefixes = ['relay-', 'webhook-', 'fullscript-', 'proxy-', 'sec-', ':'];

const ownNames: ReadonlySet<string> = new Set([
  'accept-encoding',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'date',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'user-agent',
  'via',
]);
