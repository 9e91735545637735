import fc from 'fast-check';
import { expect, test } from 'vitest';
import { deliveryIdOf } from '../../src/domain/delivery.ts';
import { ClaimLost } from '../../src/domain/errors.ts';
import type { DeliveryClaim } from '../../src/store/store.ts';
import { simulatedClock } from '../world/clock.ts';
import { folder, SimulatedDisk, storeOn } from '../world/disk.ts';
import { aClinic, accepted, anEvent, aSubscriber, claim, furnished, record, refused } from './fixtures.ts';

const noon = Date.parse('2026-11-22T12:00:00Z');
const clinics = ['clinic-1', 'clinic-2'];

type Step =
  | { readonly kind: 'record'; readonly clinic: number; readonly count: number }
  | { readonly kind: 'claim'; readonly slots: number }
  | { readonly kind: 'answer'; readonly which: number; readonly isAccepted: boolean }
  | { readonly kind: 'replay'; readonly which: number }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'crash' | 'fullDisk' };

const steps = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('record' as const),
      clinic: fc.integer({ min: 0, max: 1 }),
      count: fc.integer({ min: 1, max: 3 }),
    }),
    fc.record({ kind: fc.constant('claim' as const), slots: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ kind: fc.constant('answer' as const), which: fc.nat(9), isAccepted: fc.boolean() }),
    fc.record({ kind: fc.constant('replay' as const), which: fc.nat(9) }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1_000, 10_000, 60_000) }),
    fc.record({ kind: fc.constantFrom('crash' as const, 'fullDisk' as const) }),
  ),
  { minLength: 5, maxLength: 40 },
);

/** A relay's days in small, with whatever comes in whatever order. */
async function live(order: readonly Step[]): Promise<void> {
  let disk = new SimulatedDisk();
  const clock = simulatedClock(noon);
  let store = await storeOn(disk, clock);
  await furnished(store, aSubscriber('sub_1', { order: 'perClinic', retrySeconds: [10] }));
  await store.saveClinic(aClinic('clinic-2', 'New York'));
  await store.follow('clinic-2', [{ category: 'orders', startAt: 0 }]);
  const made: string[] = [];
  let held: DeliveryClaim[] = [];

  const open = async () =>
    (await store.deliveries({}, { limit: 1_000, cursor: null })).items.filter(
      ({ round, state }) => round === 1 && state === 'pending',
    );
  const take = async (slots: number) => {
    const claims = await claim(store, slots);
    const waiting = await open();
    for (const { delivery } of claims) {
      if (delivery.round > 1) continue;
      const ahead = waiting.filter(
        ({ clinicId, sequence }) => clinicId === delivery.clinicId && sequence < delivery.sequence,
      );
      expect(ahead.map(({ id }) => id)).toEqual([]);
    }
    held.push(...claims);
  };
  const answer = async (which: number, isAccepted: boolean) => {
    const [one] = held.splice(which % Math.max(1, held.length), 1);
    if (!one) return;
    await store.recordAttempt(one, isAccepted ? accepted : refused).catch((error: unknown) => {
      if (!(error instanceof ClaimLost)) throw error;
    });
  };
  /** The next batch is taken back and tried again two seconds later. */
  const withFullDisk = async (work: () => Promise<void>) => {
    disk.failNext('write', 'ENOSPC', { path: `${folder}/journal/2026-11-22.jsonl`, written: 0 });
    const done = work();
    await clock.advance(2_500);
    await done;
  };

  for (const step of order) {
    switch (step.kind) {
      case 'record': {
        const events = Array.from({ length: step.count }, (_, index) => `e${made.length + index}`);
        made.push(...events);
        await record(
          store,
          events.map((id) => anEvent(id)),
          clinics[step.clinic],
        );
        break;
      }
      case 'claim':
        await take(step.slots);
        break;
      case 'answer':
        await answer(step.which, step.isAccepted);
        break;
      case 'replay':
        await store.startRounds([deliveryIdOf(made[step.which % Math.max(1, made.length)] ?? '', 'sub_1')]);
        break;
      case 'wait':
        await clock.advance(step.ms);
        break;
      case 'fullDisk':
        if (held.length > 0) await withFullDisk(() => answer(0, true));
        break;
      case 'crash':
        disk = disk.kill();
        store = await storeOn(disk, clock);
        held = [];
        break;
    }
  }
  for (let turns = 0; turns < 200; turns++) {
    while (held.length > 0) await answer(0, true);
    await take(10);
    if (held.length === 0) await clock.advance(60_000);
    if ((await open()).length === 0) return;
  }
  expect.fail(`waits for ever: ${(await open()).map(({ eventId }) => eventId)}`);
}

test('whatever comes, nothing of a clinic is sent before what came earlier has ended, and nothing waits for ever', async () => {
  await fc.assert(fc.asyncProperty(steps, live), { numRuns: 60 });
}, 60_000);
