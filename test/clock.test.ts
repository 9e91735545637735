import { afterEach, describe, expect, test, vi } from 'vitest';
import { systemClock, wait } from '../src/clock.ts';
import { simulatedClock } from './world/clock.ts';

afterEach(() => vi.restoreAllMocks());

describe('the system’s clock', () => {
  test('cases 192 and 193: never runs back, and follows the machine’s clock forward', () => {
    const machine = vi.spyOn(Date, 'now').mockReturnValue(1_000_000);
    const clock = systemClock();
    const start = clock.now();
    machine.mockReturnValue(400_000);
    expect(clock.now()).toBeGreaterThanOrEqual(start);
    expect(clock.wall()).toBe(400_000);
    machine.mockReturnValue(5_000_000);
    expect(clock.now()).toBeGreaterThanOrEqual(4_999_999);
    machine.mockReturnValue(1_000_000);
    expect(clock.now()).toBeGreaterThanOrEqual(4_999_999);
  });

  test('measures without regard to the machine’s clock', () => {
    const clock = systemClock();
    const before = clock.monotonic();
    vi.spyOn(Date, 'now').mockReturnValue(0);
    const after = clock.monotonic();
    expect(after).toBeGreaterThanOrEqual(before);
    expect(after - before).toBeLessThan(10_000);
  });

  for (const { delayMs, because } of [
    { delayMs: 3_000_000_000, because: 'more than fits a timer of Node’s' },
    { delayMs: Number.POSITIVE_INFINITY, because: 'for ever' },
    { delayMs: 86_400_000, because: 'a day' },
  ]) {
    test(`case 199: does not fire early when asked to wait for ${because}`, async () => {
      const clock = systemClock();
      let isFired = false;
      const cancel = clock.after(delayMs, () => {
        isFired = true;
      });
      await new Promise<void>((resolve) => clock.after(5, resolve));
      expect(isFired).toBe(false);
      cancel();
    });
  }

  for (const delayMs of [0, -5, Number.NaN]) {
    test(`fires at once when asked to wait ${delayMs} ms`, async () => {
      await new Promise<void>((resolve) => systemClock().after(delayMs, resolve));
    });
  }

  test('does not fire when it was cancelled', async () => {
    const clock = systemClock();
    let isFired = false;
    clock.after(0, () => {
      isFired = true;
    })();
    await new Promise<void>((resolve) => clock.after(5, resolve));
    expect(isFired).toBe(false);
  });
});

describe('waiting', () => {
  const waiting = (delayMs: number, signal?: AbortSignal) => {
    const clock = simulatedClock(0);
    const state = { clock, isOver: false };
    void wait(clock, delayMs, signal).then(() => {
      state.isOver = true;
    });
    return state;
  };

  test('ends when its time has come, and not before', async () => {
    const state = waiting(1_000);
    await state.clock.advance(999);
    expect(state.isOver).toBe(false);
    await state.clock.advance(1);
    await state.clock.advance(0);
    expect(state.isOver).toBe(true);
  });

  test('ends at once when it is aborted, before or while it waits', async () => {
    const aborted = waiting(1_000, AbortSignal.abort());
    const controller = new AbortController();
    const state = waiting(1_000, controller.signal);
    await state.clock.advance(1);
    expect(state.isOver).toBe(false);
    controller.abort();
    await state.clock.advance(0);
    expect([aborted.isOver, state.isOver]).toEqual([true, true]);
  });
});
