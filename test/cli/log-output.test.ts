import { expect, test } from 'vitest';
import { logOutput } from '../../src/cli/log-output.ts';

const wall = () => Date.parse('2026-11-22T12:00:00Z');

test('case 35: a log that nobody reads keeps no more than a mebibyte, and says how much was left out', () => {
  const written: string[] = [];
  const stream = { writableLength: 0, write: (text: string) => written.push(text) };
  const output = logOutput(stream, wall);
  output.write('one\n');
  stream.writableLength = 1024 * 1024 + 1;
  output.write('two\n');
  output.write('three\n');
  expect(written).toEqual(['one\n']);
  stream.writableLength = 0;
  output.write('four\n');
  output.write('five\n');
  expect(written.map((line) => line.trim())).toEqual([
    'one',
    expect.stringContaining('"lines":2'),
    'four',
    'five',
  ]);
  expect(JSON.parse(written[1] ?? '')).toMatchObject({ level: 40, time: '2026-11-22T12:00:00.000Z' });
});

test('a stream that says nothing of what waits gets every line', () => {
  const written: string[] = [];
  const output = logOutput({ write: (text) => written.push(text) }, wall);
  for (const line of ['one\n', 'two\n']) output.write(line);
  expect(written).toEqual(['one\n', 'two\n']);
});
