import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { checkWindow, instantQuery, pageOf, pageQuery } from '../../src/api/query.ts';

const page = z.strictObject(pageQuery);

describe('a limit is a number from 1 to 1,000', () => {
  for (const limit of ['1', '100', '1000']) {
    test(`taken: ${limit}`, () => expect(page.parse({ limit }).limit).toBe(Number(limit)));
  }
  test('100 when it is not given', () => expect(page.parse({}).limit).toBe(100));

  for (const limit of [
    '0',
    '-1',
    '1001',
    '1e9',
    '1e2',
    'NaN',
    'Infinity',
    '0x10',
    '٣',
    '1;drop',
    '1.5',
    ' 1',
    '01',
    '',
    ['1', '2'],
    {},
  ]) {
    test(`refused: ${JSON.stringify(limit)}`, () => expect(page.safeParse({ limit }).success).toBe(false));
  }

  for (const unknown of ['sort', 'limit[]', 'a[b]', '__proto__x']) {
    test(`an unknown parameter is refused: ${unknown}`, () =>
      expect(page.safeParse({ [unknown]: '1' }).success).toBe(false));
  }
});

describe('an instant has a date that exists, a time and an offset', () => {
  for (const { text, at } of [
    { text: '2026-11-22T12:00:00Z', at: Date.UTC(2026, 10, 22, 12) },
    { text: '2026-11-22T12:00:00.250+02:00', at: Date.UTC(2026, 10, 22, 10, 0, 0, 250) },
    { text: '1970-01-01T00:00:00Z', at: 0 },
  ]) {
    test(`taken: ${text}`, () => expect(instantQuery.parse(text)).toBe(at));
  }

  for (const text of [
    'yesterday',
    '2026-11-22',
    '2026-02-30T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '0000-01-01T00:00:00Z',
    '1969-12-31T23:59:59Z',
    '2026-11-22T00:00:00|+02:00',
    '2026-11-22T12:00:00',
    '2026-11-22T12:00:00Z\n',
    '1e20',
    '1700000000000',
    '',
    ['2026-11-22T12:00:00Z', '2026-11-23T12:00:00Z'],
  ]) {
    test(`refused: ${JSON.stringify(text)}`, () => expect(instantQuery.safeParse(text).success).toBe(false));
  }

  test('a window that ends before it begins is refused', () => {
    expect(() => checkWindow({ since: 2, until: 1 })).toThrow('`since` is after `until`');
    expect(() => checkWindow({ since: 1, until: 1 })).not.toThrow();
    expect(() => checkWindow({ until: 1 })).not.toThrow();
  });
});

describe('a short list is paged in the order of creation', () => {
  const items = ['d', 'b', 'c', 'a'].map((id) => ({ id, createdAt: id === 'a' ? 1 : 2 }));
  const ids = (limit: number, cursor?: string) => {
    const { items: found, nextCursor } = pageOf(items, { limit, cursor });
    return { ids: found.map(({ id }) => id), nextCursor };
  };

  test('page after page, each item once', () => {
    const first = ids(3);
    expect(first.ids).toEqual(['a', 'b', 'c']);
    const second = ids(3, first.nextCursor as string);
    expect(second).toEqual({ ids: ['d'], nextCursor: null });
  });

  test('a full last page says that nothing follows', () => {
    expect(ids(4).nextCursor).toBeNull();
  });

  test('goes on behind an item that is gone by then', () => {
    const { nextCursor } = pageOf(items, { limit: 2, cursor: undefined });
    const left = items.filter(({ id }) => id !== 'b');
    const { items: rest } = pageOf(left, { limit: 5, cursor: nextCursor as string });
    expect(rest.map(({ id }) => id)).toEqual(['c', 'd']);
  });

  for (const cursor of ['garbage', '0', '%00', Buffer.from('x a').toString('base64url'), '..']) {
    test(`a cursor that no list gave is refused: ${cursor}`, () => {
      expect(() => pageOf(items, { limit: 1, cursor })).toThrow('not one that a list gave');
    });
  }
});
