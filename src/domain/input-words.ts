import type { z } from 'zod';

/**
 * What is wrong with an input, as the rest of a sentence that begins with its path: for
 * everything that a schema does not say in its own words. Give it to `safeParse`.
 */
export const inputWords: z.core.$ZodErrorMap = (issue) => {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'is missing' : `must be ${nounOf(issue.expected)}`;
    case 'too_small':
      return atLeast(issue.origin, Number(issue.minimum));
    case 'too_big':
      return `must ${sizeOf(issue.origin, Number(issue.maximum))} at most`;
    case 'invalid_value':
      return issue.input === undefined ? 'is missing' : `must be ${anyOf(issue.values)}`;
    case 'invalid_union':
      return issue.input === undefined ? 'is missing' : 'has a form that is not taken';
    default:
      return 'is not written as it has to be';
  }
};

const nouns: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  null: 'null',
};

function nounOf(type: string): string {
  return nouns[type] ?? 'of another kind';
}

function atLeast(origin: string, minimum: number): string {
  const isText = origin === 'string' || origin === 'array';
  return isText && minimum === 1 ? 'must not be empty' : `must ${sizeOf(origin, minimum)} at least`;
}

function sizeOf(origin: string, size: number): string {
  const count = size.toLocaleString('en-US');
  switch (origin) {
    case 'string':
      return `be ${count} characters`;
    case 'array':
      return `have ${count} items`;
    default:
      return `be ${count}`;
  }
}

function anyOf(values: readonly unknown[]): string {
  const shown = values.map((value) => JSON.stringify(value));
  const last = shown.pop();
  return shown.length === 0 ? `${last}` : `${shown.join(', ')} or ${last}`;
}
