import { expect, test } from 'vitest';
import { Alarm } from '../../src/delivery/alarm.ts';
import { simulatedClock } from '../world/clock.ts';

function alarmAt(startMs: number) {
  const clock = simulatedClock(startMs);
  const rungAt: number[] = [];
  return { clock, rungAt, alarm: new Alarm(clock, () => rungAt.push(clock.now())) };
}

test('a sooner moment replaces a later one, and a later one changes nothing', async () => {
  const { clock, rungAt, alarm } = alarmAt(1_000);
  for (const at of [5_000, 3_000, 4_000]) alarm.setBy(at);
  await clock.advance(10_000);
  expect(rungAt).toEqual([3_000]);
});

test('a moment that is past is now', async () => {
  const { clock, rungAt, alarm } = alarmAt(1_000);
  alarm.setBy(0);
  await clock.advance(0);
  expect(rungAt).toEqual([1_000]);
});

test('after it has rung, or was cancelled, it can be set again', async () => {
  const { clock, rungAt, alarm } = alarmAt(0);
  alarm.setBy(1_000);
  await clock.advance(1_000);
  alarm.setBy(2_000);
  alarm.cancel();
  await clock.advance(1_000);
  alarm.setBy(9_000);
  await clock.advance(10_000);
  expect(rungAt).toEqual([1_000, 9_000]);
});
