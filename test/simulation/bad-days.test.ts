import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { simulate } from './simulate.ts';

const seeds = 200;

/** As `npm run simulate` does it: on all cores. */
function simulated(...args: readonly string[]): Promise<{ readonly code: number | null; said: string }> {
  return new Promise((resolve) => {
    const run = spawn(process.execPath, [`${import.meta.dirname}/run.js`, ...args]);
    let said = '';
    for (const stream of [run.stdout, run.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        said += chunk;
      });
    }
    run.on('close', (code) => resolve({ code, said }));
  });
}

test(`whatever breaks, nothing is lost, doubled or invented in the bad days of ${seeds} seeds`, {
  timeout: 600_000,
}, async () => {
  const { code, said } = await simulated('--seeds', String(seeds));
  expect(code, said).toBe(0);
});

test('the command names the seeds that broke a promise, and says what they broke', async () => {
  const { code, said } = await simulated('--seed', '1', '--jobs', '1', '--mutant', 'the cursor first');
  expect(said).toContain('seed 1 broke "the cursor stays behind what is recorded"');
  expect(code).toBe(1);
});

test('the same seed brings the same days, whatever keys and ids were drawn', async () => {
  const [once, again] = [await simulate({ seed: 7 }), await simulate({ seed: 7 })];
  expect(again.lines).toEqual(once.lines);
  expect(again.digest).toBe(once.digest);
  expect((await simulate({ seed: 8 })).digest).not.toBe(once.digest);
});
