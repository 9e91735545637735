import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { inputWords } from '../../src/domain/input-words.ts';
import { listsInput } from '../../src/domain/list-place.ts';
import { problemsOf } from '../../src/domain/problems-of.ts';
import { subscriberChangeInput } from '../../src/domain/subscriber-input.ts';

function wordsOf(schema: z.ZodType, value: unknown): readonly string[] {
  const parsed = schema.safeParse(value, { error: inputWords });
  if (parsed.success) return [];
  return problemsOf(parsed.error, schema).map(({ path, message }) => `${path} ${message}`.trim());
}

describe('what is wrong with an input is said in our words', () => {
  for (const { input, says } of [
    { input: { concurrency: 0 }, says: 'concurrency must be 1 at least' },
    { input: { concurrency: 1001 }, says: 'concurrency must be 1,000 at most' },
    { input: { concurrency: 1.5 }, says: 'concurrency must be a whole number' },
    { input: { concurrency: '4' }, says: 'concurrency must be a number' },
    { input: { retrySeconds: [-1] }, says: 'retrySeconds[0] must be 0 at least' },
    { input: { retrySeconds: [604_801] }, says: 'retrySeconds[0] must be a week at most' },
    { input: { retrySeconds: 5 }, says: 'retrySeconds must be a list' },
    { input: { name: 5 }, says: 'name must be text' },
    { input: { url: '' }, says: 'url must not be empty' },
    { input: { profile: 'both' }, says: 'profile must be "fullscript" or "standard"' },
    { input: { envelope: [] }, says: 'envelope must be "event", "event_payload" or "both"' },
    { input: { eventTypes: [undefined] }, says: 'eventTypes[0] is missing' },
    { input: { challengeToken: 'short' }, says: 'challengeToken must be 8 characters at least' },
    { input: { nmae: 'x' }, says: 'nmae is not known; did you mean name?' },
    { input: [], says: 'must be an object' },
    { input: undefined, says: 'is missing' },
  ]) {
    test(`${JSON.stringify(input)}: ${says}`, () => {
      expect(wordsOf(subscriberChangeInput, input)).toEqual([says]);
    });
  }

  for (const { schema, input, says } of [
    { schema: z.string().min(1), input: '', says: 'must not be empty' },
    { schema: z.array(z.string()).max(2), input: ['', '', ''], says: 'must have 2 items at most' },
    { schema: z.boolean(), input: 'yes', says: 'must be true or false' },
    {
      schema: listsInput,
      input: { orders: { query: { created_at: 'x' } } },
      says: 'orders.query.created_at is a parameter that the relay sets itself',
    },
    { schema: listsInput, input: { Orders: {} }, says: 'Orders must be the name of a list, such as orders' },
    { schema: z.literal(true), input: false, says: 'must be true' },
    { schema: z.union([z.string(), z.number()]), input: {}, says: 'has a form that is not taken' },
    { schema: z.email(), input: 'x', says: 'is not written as it has to be' },
    { schema: z.date(), input: 5, says: 'must be of another kind' },
  ]) {
    test(`${JSON.stringify(input)} as ${schema.type}: ${says}`, () => {
      expect(wordsOf(schema, input)).toEqual([says]);
    });
  }
});
