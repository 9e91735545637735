import { describe, expect, test } from 'vitest';
import { inert, printError, printer } from '../../src/cli/print.ts';
import { InvalidInput } from '../../src/domain/errors.ts';

function streams(isTTY: boolean) {
  const written = { out: '', err: '' };
  return {
    written,
    stdout: { isTTY, write: (text: string) => (written.out += text) },
    stderr: { isTTY, write: (text: string) => (written.err += text) },
  };
}

describe('stored text cannot act on the terminal that shows it', () => {
  for (const { text, shown } of [
    { text: '\u001b[31mred\u001b[0m', shown: '\\u{1b}[31mred\\u{1b}[0m' },
    { text: '\u009b2J', shown: '\\u{9b}2J' },
    { text: 'a\r\nb\tc\u0000', shown: 'a\\u{d}\\nb\\tc\\u{0}' },
    { text: 'user\u202etxt.exe', shown: 'user\\u{202e}txt.exe' },
    { text: 'a\u2028b\ufeff', shown: 'a\\u{2028}b\\u{feff}' },
    { text: 'Zoë 渋谷 🧪', shown: 'Zoë 渋谷 🧪' },
  ]) {
    test(JSON.stringify(text), () => expect(inert(text)).toBe(shown));
  }

  test('JSON is the same value, with nothing active in it', () => {
    const { written, stdout, stderr } = streams(false);
    const value = { name: '\u001b[2J\u009b\u202e\u007f\n', inner: ['ü'] };
    printer(stdout, stderr, {}).json(value);
    expect(JSON.parse(written.out)).toEqual(value);
    expect(written.out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  });
});

describe('colour', () => {
  for (const { isTTY, env, coloured, because } of [
    { isTTY: true, env: {}, coloured: true, because: 'a terminal shows it' },
    { isTTY: true, env: { NO_COLOR: '' }, coloured: true, because: 'an empty NO_COLOR says nothing' },
    { isTTY: true, env: { NO_COLOR: '0' }, coloured: false, because: 'NO_COLOR of any value says no' },
    { isTTY: true, env: { TERM: 'dumb' }, coloured: false, because: 'a dumb terminal cannot' },
    { isTTY: false, env: {}, coloured: false, because: 'a file is no terminal' },
  ]) {
    test(`${coloured ? 'on' : 'off'}: ${because}`, () => {
      const { stdout, stderr } = streams(isTTY);
      const text = printer(stdout, stderr, env).paint('red', 'failed');
      expect(text).toBe(coloured ? '\u001b[31mfailed\u001b[39m' : 'failed');
    });
  }
});

describe('an error', () => {
  const invalid = new InvalidInput('config_invalid', 'The configuration has 1 problem.', {
    hint: 'Repair it.',
    problems: [{ path: 'server.port', message: 'is no port\u001b[2J' }],
  });

  test('is one line what is wrong, its problems, and one line what to do', () => {
    const { written, stdout, stderr } = streams(false);
    printError(printer(stdout, stderr, {}), invalid, false);
    expect(written).toEqual({
      out: '',
      err: 'relay: The configuration has 1 problem.\n  server.port: is no port\\u{1b}[2J\n  Repair it.\n',
    });
  });

  test('is one JSON document where JSON was asked for', () => {
    const { written, stdout, stderr } = streams(false);
    printError(printer(stdout, stderr, {}), invalid, true);
    expect(JSON.parse(written.err)).toMatchObject({ error: { code: 'config_invalid', hint: 'Repair it.' } });
  });

  test('that nobody foresaw shows no stack', () => {
    const { written, stdout, stderr } = streams(false);
    printError(printer(stdout, stderr, {}), new TypeError('x is not a function\n    at file.js:1'), false);
    expect(written.err).toContain('relay: x is not a function\n');
    expect(written.err).not.toContain('at file.js');
  });
});
