import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { untilStopped } from '../../src/cli/serve.ts';
import { type Outside, outside } from './outside.ts';

let around: Outside & { discard(): Promise<void> };
beforeEach(async () => {
  around = await outside();
});
afterEach(() => around.discard());

const never = new Promise<never>(() => {});

describe('what runs until it is stopped', () => {
  test('is stopped by a signal, and the command waits for its end', async () => {
    const steps: string[] = [];
    const stop = async () => {
      steps.push('stopping');
      await Promise.resolve();
      steps.push('stopped');
    };
    const ended = untilStopped(around, { stop, failed: never }).then(() => steps.push('ended'));
    around.stop();
    await ended;
    expect(steps).toEqual(['stopping', 'stopped', 'ended']);
  });

  test('ends the command with its failure', async () => {
    const failed = Promise.reject(new Error('the disk is gone'));
    await expect(untilStopped(around, { stop: async () => {}, failed })).rejects.toThrow('the disk is gone');
  });

  test('ends the command also when it fails while it stops', async () => {
    let fail = (_error: Error) => {};
    const failed = new Promise<never>((_, reject) => {
      fail = reject;
    });
    const stop = () => {
      fail(new Error('the disk is gone'));
      return never;
    };
    const ended = untilStopped(around, { stop, failed });
    around.stop();
    await expect(ended).rejects.toThrow('the disk is gone');
  });
});

test('the sandbox answers until it is stopped', async () => {
  const exit = run(['sandbox', '--port', '0', '--events-per-minute', '0', '--json'], around);
  while (around.out() === '') await new Promise((resolve) => setImmediate(resolve));
  const { url } = JSON.parse(around.out()) as { url: string };
  expect((await fetch(`${url}/sandbox/status`)).status).toBe(200);
  around.stop();
  expect(await exit).toBe(0);
  await expect(fetch(`${url}/sandbox/status`)).rejects.toThrow();
});

test('a service without a configuration names `relay init`, with 2', async () => {
  expect(await run(['serve'], around)).toBe(2);
  expect(around.err()).toContain('relay init');
});
