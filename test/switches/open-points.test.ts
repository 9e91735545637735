import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { faultKinds } from '../../src/sandbox/fault-kinds.ts';

const root = new URL('../../', import.meta.url);
const page = readFileSync(new URL('README.md', import.meta.url), 'utf8');

const points = page
  .split('\n')
  .filter((line) => /^\| \d/.test(line))
  .map((line) => {
    const [number = '', , choice = '', switches = '', where = ''] = line
      .split('|')
      .slice(1)
      .map((cell) => cell.trim());
    return { number: Number(number), choice, switches: named(switches), where: named(where) };
  });

function named(cell: string): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
}

test('each of the 28 open points has its line, in their order', () => {
  expect(points.map(({ number }) => number)).toEqual(Array.from({ length: 28 }, (_, index) => index + 1));
});

for (const { number, choice, switches, where } of points) {
  test(`point ${number}: ${choice}`, () => {
    const [path = '', symbol = ''] = where;
    expect(readFileSync(new URL(path, root), 'utf8')).toContain(symbol);
    const hyphenated = switches.filter((name) => name.includes('-'));
    expect(hyphenated.filter((name) => !Object.hasOwn(faultKinds, name))).toEqual([]);
  });
}

test('every fault of the sandbox stands on the page', () => {
  expect(Object.keys(faultKinds).filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});
