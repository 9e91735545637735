const quote = 0x22;
const backslash = 0x5c;

/**
 * The exact text of one part of a JSON document, untouched by any parser: big numbers,
 * `10.0`, escapes and the order of keys stay as they were written. White space around the
 * part is left out, inside it is kept. Of a key that stands twice the last one counts, as
 * `JSON.parse` has it. `null` when there is no such part.
 *
 * The error never quotes the text, which may hold a patient's data.
 *
 * @param path keys and 0-based indexes from the outside in; empty for the whole document.
 * @throws SyntaxError when `text` is not one valid JSON document.
 */
export function rawJsonAt(text: string, path: readonly (string | number)[]): string | null {
  assertJson(text);
  let start: number | null = afterSpace(text, 0);
  for (const step of path) {
    start = typeof step === 'string' ? startOfMember(text, start, step) : startOfItem(text, start, step);
    if (start === null) return null;
  }
  return text.slice(start, afterValue(text, start));
}

/** What follows may lean on it: the scanner below only finds its way in valid JSON. */
function assertJson(text: string): void {
  try {
    JSON.parse(text);
  } catch {
    throw new SyntaxError('The text is not valid JSON.');
  }
}

function startOfMember(text: string, start: number, key: string): number | null {
  if (text[start] !== '{') return null;
  let found: number | null = null;
  let at = afterSpace(text, start + 1);
  while (text[at] !== '}') {
    const keyEnd = afterString(text, at);
    const valueStart = afterSpace(text, afterSpace(text, keyEnd) + 1);
    if (JSON.parse(text.slice(at, keyEnd)) === key) found = valueStart;
    at = nextPart(text, valueStart);
  }
  return found;
}

function startOfItem(text: string, start: number, index: number): number | null {
  if (text[start] !== '[') return null;
  let at = afterSpace(text, start + 1);
  for (let passed = 0; text[at] !== ']'; passed += 1) {
    if (passed === index) return at;
    at = nextPart(text, at);
  }
  return null;
}

/** From the start of one value of a container to the start of the next part, or to the closing bracket. */
function nextPart(text: string, valueStart: number): number {
  const at = afterSpace(text, afterValue(text, valueStart));
  return text[at] === ',' ? afterSpace(text, at + 1) : at;
}

/** Counts brackets instead of calling itself, so that no depth overflows the stack. */
function afterValue(text: string, start: number): number {
  let at = start;
  let depth = 0;
  do {
    switch (text[at]) {
      case '"':
        at = afterString(text, at);
        break;
      case '{':
      case '[':
        depth += 1;
        at += 1;
        break;
      case '}':
      case ']':
        depth -= 1;
        at += 1;
        break;
      default:
        at = depth === 0 ? afterScalar(text, at) : at + 1;
    }
  } while (depth > 0);
  return at;
}

function afterString(text: string, start: number): number {
  let at = start + 1;
  for (; text.charCodeAt(at) !== quote; at += 1) {
    if (text.charCodeAt(at) === backslash) at += 1;
  }
  return at + 1;
}

const scalarEnd = /[\s,\]}]|$/g;

function afterScalar(text: string, start: number): number {
  scalarEnd.lastIndex = start;
  return scalarEnd.exec(text)?.index ?? text.length;
}

function afterSpace(text: string, start: number): number {
  let at = start;
  while (' \t\n\r'.includes(text[at] ?? '.')) at += 1;
  return at;
}
