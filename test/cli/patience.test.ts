import { expect, test } from 'vitest';
import { patient } from '../../src/cli/patience.ts';
import { RelayRefused } from '../../src/client/errors.ts';
import { simulatedClock } from '../world/clock.ts';

const ask = { method: 'GET', path: '/v1/events' } as const;

function refusal(status: number, retryAfterMs: number | null): RelayRefused {
  const about = { code: 'rate_limited', message: 'Too many requests.', problems: [] };
  return new RelayRefused({ ...about, status, retryAfterMs }, { hint: 'Wait.' });
}

function asked(refusals: readonly RelayRefused[]) {
  const clock = simulatedClock(0);
  const notes: string[] = [];
  const times: number[] = [];
  const call = patient(
    async () => {
      times.push(clock.now());
      const refused = refusals[times.length - 1];
      if (refused) throw refused;
      return 'answer';
    },
    { clock, note: (line) => notes.push(line) },
  );
  return { clock, notes, times, answer: call(ask) };
}

test('a command that is asked to wait says so, waits as long, and goes on', async () => {
  const { clock, notes, times, answer } = asked([refusal(429, 54_000)]);
  await clock.advance(53_000);
  expect(times).toHaveLength(1);
  await clock.advance(1_000);
  expect(await answer).toBe('answer');
  expect(notes).toEqual(['The relay has had many requests; this goes on in 54 s.']);
});

for (const { refused, because } of [
  { refused: refusal(429, null), because: 'it does not say how long' },
  { refused: refusal(429, 3_600_000), because: 'an hour is too long' },
  { refused: refusal(503, 1_000), because: 'it is no matter of too many requests' },
]) {
  test(`a refusal is the end: ${because}`, async () => {
    const { answer, times } = asked([refused]);
    await expect(answer).rejects.toBe(refused);
    expect(times).toHaveLength(1);
  });
}

test('an answer that takes long is waited for, and the terminal says so', async () => {
  const clock = simulatedClock(0);
  const notes: string[] = [];
  const slow = () => new Promise((resolve) => clock.after(8_000, () => resolve('answer')));
  const answer = patient(slow, { clock, note: (line) => notes.push(line) })(ask);
  await clock.advance(4_900);
  expect(notes).toEqual([]);
  await clock.advance(3_100);
  expect(await answer).toBe('answer');
  await clock.advance(60_000);
  expect(notes).toEqual(['The relay has not answered yet.']);
});

test('a relay that refuses again and again is not asked for ever', async () => {
  const { clock, answer, times } = asked(Array.from({ length: 99 }, () => refusal(429, 1_000)));
  const ended = answer.catch((error: RelayRefused) => error.status);
  await clock.advance(60_000);
  expect(await ended).toBe(429);
  expect(times).toHaveLength(10);
});
