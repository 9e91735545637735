import { describe, expect, test } from 'vitest';
import { documentedEventTypes, isEventTypePattern, matchesEventType } from '../../src/domain/event.ts';

describe('a pattern of event types', () => {
  for (const { pattern, type, isMatch, because } of [
    { pattern: '*', type: 'anything.at.all', isMatch: true, because: 'the star alone stands for all' },
    { pattern: 'order.placed', type: 'order.placed', isMatch: true, because: 'it is the whole type' },
    { pattern: 'order.placed', type: 'order.placed.late', isMatch: false, because: 'a type is no prefix' },
    {
      pattern: 'order',
      type: 'order.placed',
      isMatch: false,
      because: 'a word without a star is a whole type',
    },
    { pattern: 'order.*', type: 'order.placed', isMatch: true, because: 'everything below' },
    {
      pattern: 'order.*',
      type: 'order.item.added',
      isMatch: true,
      because: 'everything below, at any depth',
    },
    { pattern: 'order.*', type: 'order', isMatch: false, because: 'below is not itself' },
    { pattern: 'order.*', type: 'orders.placed', isMatch: false, because: 'another word' },
    {
      pattern: 'treatment_plan.*',
      type: 'treatment_plan.recommendation.updated',
      isMatch: true,
      because: 'at any depth',
    },
  ]) {
    test(`${pattern} ${isMatch ? 'stands' : 'does not stand'} for ${type}: ${because}`, () => {
      expect(matchesEventType(pattern, type)).toBe(isMatch);
    });
  }

  for (const pattern of [
    '*',
    'order.*',
    'order.placed',
    'a.b.c.*',
    'lab_order.updated',
    ...documentedEventTypes,
  ]) {
    test(`${pattern} is one`, () => expect(isEventTypePattern(pattern)).toBe(true));
  }

  for (const pattern of [
    '',
    '.',
    '**',
    '*.placed',
    'order.',
    '.order',
    'order..placed',
    'order.*.x',
    'order*',
    'Order.placed',
    'order placed',
    'order.placed\n',
    `${'a.'.repeat(100)}b`,
  ]) {
    test(`"${pattern.slice(0, 20)}" is none`, () => expect(isEventTypePattern(pattern)).toBe(false));
  }
});
