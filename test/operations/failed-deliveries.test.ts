import { expect, test } from 'vitest';
import { type OperationalEvent, sentenceOf } from '../../src/domain/operational-event.ts';
import { FailedDeliveries } from '../../src/operations/failed-deliveries.ts';
import { simulatedClock } from '../world/clock.ts';
import { recipient } from '../world/recipient.ts';

test('the failed deliveries of a minute are one message for each subscriber', async () => {
  const clock = simulatedClock(0);
  const told: OperationalEvent[] = [];
  const failed = new FailedDeliveries(clock, (event) => told.push(event));
  const lastOutcome = { kind: 'rejected', status: 503, retryAfterMs: null, because: 'status' } as const;
  for (let n = 0; n < 1_000; n++) {
    failed.add({ delivery: { id: `dlv_${n}`, lastOutcome }, subscriber: recipient() });
  }
  failed.add({ delivery: { id: 'dlv_x', lastOutcome }, subscriber: recipient({ id: 'sub_2', name: 'lab' }) });
  await clock.advance(59_000);
  expect(told).toEqual([]);
  await clock.advance(1_000);
  expect(told).toMatchObject([
    { data: { subscriberId: 'sub_1', count: 1_000, lastOutcome: 'status 503' } },
    { data: { subscriberId: 'sub_2', count: 1, deliveryIds: ['dlv_x'] } },
  ]);
  const [first, second] = told as [OperationalEvent, OperationalEvent];
  expect(first.type === 'relay.delivery.failed' && first.data.deliveryIds).toHaveLength(10);
  expect(sentenceOf(second)).toBe(
    '1 delivery to lab failed for good (status 503); `relay replay --failed --subscriber sub_2` sends again. dlv_x',
  );
  failed.add({ delivery: { id: 'dlv_y', lastOutcome }, subscriber: recipient() });
  await clock.advance(60_000);
  expect(told[2]).toMatchObject({ data: { count: 1, deliveryIds: ['dlv_y'] } });
});
