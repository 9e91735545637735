import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rawJsonAt } from '../../src/wire/raw-json.ts';

type Path = readonly (string | number)[];

describe('the exact text of a part', () => {
  for (const { text, path, part, because } of [
    {
      text: ' {"a": 1 } ',
      path: [],
      part: '{"a": 1 }',
      because: 'space around the document goes, inside it stays',
    },
    {
      text: '{"event" :\n{ "id":"x" }\n}',
      path: ['event'],
      part: '{ "id":"x" }',
      because: 'space around a part goes too',
    },
    {
      text: '{"n":12345678901234567890}',
      path: ['n'],
      part: '12345678901234567890',
      because: 'a parser would round it',
    },
    { text: '{"n":10.0,"m":-0}', path: ['n'], part: '10.0', because: 'a parser would drop the zero' },
    { text: '{"n":1E+2 }', path: ['n'], part: '1E+2', because: 'a number ends at white space' },
    {
      text: '{"a":"\\u00e9\\/\\ud800"}',
      path: ['a'],
      part: '"\\u00e9\\/\\ud800"',
      because: 'escapes stay as written, lone surrogates too',
    },
    {
      text: '{"a":"\ud800"}',
      path: ['a'],
      part: '"\ud800"',
      because: 'an unescaped lone surrogate is not replaced',
    },
    {
      text: '{"__proto__":{"a":1}}',
      path: ['__proto__', 'a'],
      part: '1',
      because: 'it is a key like any other',
    },
    { text: '{"a":1,"a":2}', path: ['a'], part: '2', because: 'the last one of a doubled key counts' },
    {
      text: '{"a":{"b":1},"a":{}}',
      path: ['a', 'b'],
      part: null,
      because: 'the last one counts before its parts do',
    },
    { text: '{"\\u0061":1}', path: ['a'], part: '1', because: 'an escaped key is the key that it spells' },
    {
      text: '{"x\\"}":{"y":[1,"]",{"z":"}"}]}}',
      path: ['x"}', 'y', 2, 'z'],
      part: '"}"',
      because: 'brackets and quotes inside strings are text',
    },
    {
      text: '["\\\\",2]',
      path: [1],
      part: '2',
      because: 'an escaped backslash does not escape the quote after it',
    },
    { text: '[[1,2],[3]]', path: [1, 0], part: '3', because: 'indexes count from zero' },
    { text: '[1]', path: [1], part: null, because: 'there is no second item' },
    { text: '[1]', path: [-1], part: null, because: 'nothing is counted from the end' },
    { text: '[1]', path: ['length'], part: null, because: 'a list has no keys' },
    { text: '{"0":1}', path: [0], part: null, because: 'an object has no indexes' },
    { text: '{}', path: ['toString'], part: null, because: 'what an object inherits is not in the document' },
    { text: '{"a":null}', path: ['a'], part: 'null', because: 'null that is there is not absence' },
    { text: '{"a":"b"}', path: ['a', 0], part: null, because: 'a string has no parts' },
    { text: '{"":{"":[]}}', path: ['', ''], part: '[]', because: 'a key may be empty' },
    { text: ' true ', path: [], part: 'true', because: 'a document may be a single word' },
  ] satisfies { text: string; path: Path; part: string | null; because: string }[]) {
    test(`${JSON.stringify(path)} of ${JSON.stringify(text)}: ${because}`, () => {
      expect(rawJsonAt(text, path)).toBe(part);
    });
  }
});

describe('what is not JSON', () => {
  for (const text of [
    '',
    ' ',
    '{',
    '{"a":1,}',
    '[1,]',
    "{'a':1}",
    '{"a":01}',
    '\ufeff{}',
    'NaN',
    '{} {}',
    '"\n"',
  ]) {
    test(`${JSON.stringify(text)} is refused`, () => {
      expect(() => rawJsonAt(text, [])).toThrow(SyntaxError);
    });
  }

  test('is not quoted in the error, because it may hold a patient’s data', () => {
    expect(() => rawJsonAt('{"first_name":"Zoë"', ['first_name'])).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('Zo') }),
    );
  });
});

describe('any document', () => {
  const space = fc.stringMatching(/^[ \t\n\r]{0,2}$/);

  test('each part, parsed, is the value at its path, however the document is spaced', () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 4 }),
        fc.constantFrom(undefined, 1, '\t'),
        space,
        (value, indent, around) => {
          const text = around + JSON.stringify(value, null, indent) + around;
          for (const [path, part] of partsOf(JSON.parse(text))) {
            const raw = rawJsonAt(text, path);
            expect(raw).not.toBeNull();
            expect(JSON.parse(raw as string)).toEqual(part);
            expect(raw).toBe(raw?.trim());
          }
        },
      ),
      { seed: 1 },
    );
  });

  test('a part put in is the part cut out, byte for byte', () => {
    const scalars = fc.constantFrom(
      '10.0',
      '1e400',
      '-0',
      '12345678901234567890',
      '"\\u0041\\/"',
      '"\ud800"',
      'null',
    );
    const part = fc.oneof(
      scalars,
      fc.json().map((text) => ` ${text}`.trim()),
      scalars.map((text) => `{ "__proto__" : [ ${text} ] }`),
    );
    fc.assert(
      fc.property(part, fc.string(), fc.json(), space, (inside, key, other, gap) => {
        const name = JSON.stringify(key);
        const text = `${gap}[${other},{${name}:${other},${name}${gap}:${gap}${inside}${gap}}${gap}]`;
        expect(rawJsonAt(text, [1, key])).toBe(inside);
      }),
      { seed: 2 },
    );
  });

  test('a path that leads nowhere gives null', () => {
    fc.assert(
      fc.property(fc.json(), fc.array(fc.oneof(fc.string(), fc.nat(5))), (text, path) => {
        const raw = rawJsonAt(text, [...path, 'nowhere, for certain']);
        expect(raw).toBeNull();
      }),
      { seed: 3 },
    );
  });

  test('a hundred thousand levels do not overflow the stack', () => {
    const depth = 100_000;
    const text = `{"deep":${'['.repeat(depth)}"x"${']'.repeat(depth)},"after":1}`;
    expect(rawJsonAt(text, ['after'])).toBe('1');
    expect(rawJsonAt(text, ['deep'])?.length).toBe(2 * depth + 3);
    expect(rawJsonAt(text, ['deep', 0, 0, 0])?.length).toBe(2 * (depth - 3) + 3);
  });
});

/** Every part of a parsed document with the path that leads to it. */
function* partsOf(value: unknown, path: Path = []): Generator<readonly [Path, unknown]> {
  yield [path, value];
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) yield* partsOf(item, [...path, index]);
  } else if (typeof value === 'object' && value !== null) {
    for (const key of Object.keys(value)) {
      yield* partsOf((value as Record<string, unknown>)[key], [...path, key]);
    }
  }
}
