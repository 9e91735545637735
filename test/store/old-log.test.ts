import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { realDisk } from '../../src/store/file/disk.ts';
import { simulatedClock } from '../world/clock.ts';
import { storeOn } from '../world/disk.ts';
import { accepted, anEvent, claim, record } from './fixtures.ts';

const kept = new URL('./old-log', import.meta.url).pathname;

/** Twice: the second start finds what the first one made of it. */
test('case 24: a log that was written before there were indexes is read whole, and goes on', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'relay-old-log-'));
  const path = join(parent, 'data');
  await cp(kept, path, { recursive: true });
  const clock = simulatedClock(Date.parse('2026-11-24T12:00:00Z'));
  for (const start of [1, 2]) {
    const store = await storeOn(realDisk, clock, { path, partBytes: 1 });
    const { items } = await store.deliveries({}, { limit: 10, cursor: null });
    expect(items.slice(start - 1).map(({ eventId, sequence, state }) => [eventId, sequence, state])).toEqual([
      ['interrupted', 4, 'pending'],
      ['waiting', 3, 'pending'],
      ['failed', 2, 'failed'],
      ['delivered', 1, 'delivered'],
    ]);
    const [interrupted, , failed] = items.slice(start - 1);
    expect((await store.attempts(interrupted?.id ?? '')).map(({ outcome }) => outcome.kind)).toEqual([
      'interrupted',
    ]);
    expect(await store.attempts(failed?.id ?? '')).toMatchObject([
      { number: 1, excerpt: 'not now' },
      { number: 2, excerpt: 'not now' },
    ]);
    expect(await store.event('delivered')).toMatchObject([
      { clinicId: 'clinic-1' },
      { clinicId: 'clinic-2' },
    ]);
    expect(await store.eventBody('clinic-2', 'delivered')).toBe(anEvent('delivered').body);
    expect(await store.unseen('clinic-1', ['delivered', 'past', 'new'])).toEqual(start === 1 ? ['new'] : []);
    if (start === 1) await record(store, [anEvent('new')]);
    else expect(items[0]).toMatchObject({ eventId: 'new', sequence: 5 });
    await store.close();
  }
  const store = await storeOn(realDisk, clock, { path });
  for (const each of await claim(store)) await store.recordAttempt(each, accepted);
  expect(await store.deliveryCounts(null)).toMatchObject({ delivered: 4, failed: 1, pending: 0 });
  await store.close();
  await rm(parent, { recursive: true });
});
