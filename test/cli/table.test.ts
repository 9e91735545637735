import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { printer } from '../../src/cli/print.ts';
import { printTable } from '../../src/cli/table.ts';

interface Row {
  readonly id: string;
  readonly name: string;
  readonly url: string;
}

function tableOf(rows: readonly Row[], columns: number, isTTY = false): readonly string[] {
  let text = '';
  const stdout = { isTTY, columns, write: (more: string) => (text += more) };
  printTable(
    printer(stdout, stdout, {}),
    [
      { title: 'ID', text: (row: Row) => row.id, isWhole: true },
      { title: 'NAME', text: (row: Row) => row.name, colour: () => 'green' as const },
      { title: 'URL', text: (row: Row) => row.url },
    ],
    rows,
  );
  return text.trimEnd().split('\n');
}

const row = { id: 'dlv_0123456789', name: 'ehr', url: `https://ehr.example/${'long/'.repeat(20)}` };

test('columns are as wide as they need, and no line ends in spaces', () => {
  expect(tableOf([{ ...row, url: 'https://a.example' }], 80)).toEqual([
    'ID              NAME  URL',
    'dlv_0123456789  ehr   https://a.example',
  ]);
});

describe('no line is wider than the terminal', () => {
  for (const columns of [200, 120, 80, 60, 40, 30]) {
    test(`of ${columns} columns`, () => {
      for (const line of tableOf([row, { ...row, name: 'a much longer name than the others' }], columns)) {
        expect(line.length).toBeLessThanOrEqual(columns);
      }
    });
  }
});

test('an id stays whole while anything else can give way', () => {
  const [, line] = tableOf([row], 32);
  expect(line).toContain('dlv_0123456789  ehr');
  expect(line).toContain('…');
});

test('a terminal that is too narrow for anything still gets a table', () => {
  expect(tableOf([row], 5)).toHaveLength(2);
});

test('wide characters count as the two columns that they take', () => {
  const lines = tableOf(
    [
      { ...row, name: '渋谷', url: 'x' },
      { ...row, name: 'abcd', url: 'y' },
    ],
    80,
  );
  expect(lines[1]).toBe('dlv_0123456789  渋谷  x');
  expect(lines[2]).toBe('dlv_0123456789  abcd  y');
});

test('what acts on a terminal is shown and not done, before the width is counted', () => {
  const [, line] = tableOf([{ ...row, name: '\u001b[2J', url: 'x' }], 80);
  expect(line).toBe('dlv_0123456789  \\u{1b}[2J  x');
});

test('colour takes no room', () => {
  const plain = tableOf([row], 60);
  const coloured = tableOf([row], 60, true);
  expect(coloured).not.toEqual(plain);
  expect(coloured.map(stripVTControlCharacters)).toEqual(plain);
});

describe('what is optional', () => {
  const columns = [
    { title: 'ID', text: () => 'dlv_0123456789', isWhole: true },
    { title: 'EVENT', text: () => 'treatment_plan.recommendation.updated' },
    { title: 'TRIES', text: () => '1', isOptional: true },
    { title: 'MADE', text: () => '2026-11-22T08:00:00Z', isWhole: true, isOptional: true },
  ];
  for (const { width, titles } of [
    { width: 90, titles: ['ID', 'EVENT', 'TRIES', 'MADE'] },
    { width: 61, titles: ['ID', 'EVENT', 'TRIES', 'MADE'] },
    { width: 60, titles: ['ID', 'EVENT', 'TRIES'] },
    { width: 38, titles: ['ID', 'EVENT'] },
  ]) {
    test(`leaves ${titles.join(', ')} on ${width} columns`, () => {
      let text = '';
      const stdout = { columns: width, write: (more: string) => (text += more) };
      printTable(printer(stdout, stdout, {}), columns, [null]);
      expect(text.split('\n')[0]?.split(/ +/)).toEqual(titles);
    });
  }
});
