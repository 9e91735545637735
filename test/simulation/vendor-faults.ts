import type { FaultAsk } from '../../src/sandbox/faults.ts';
import type { Random } from '../../src/sandbox/random.ts';
import type { World } from './world.ts';

/** Switches on one of the vendor's faults, for some strokes or some time. */
export function switchSomeFault(world: World, random: Random): void {
  const { fullscript, history, time } = world;
  const ask = random.pick(faultAsks)(random);
  if (ask.name === 'item-without-id') world.hasHiddenIds = true;
  const isBrief = random.next() < 0.6;
  const fault = fullscript.faults.switchOn({ ...ask, times: isBrief ? random.int(1, 6) : null });
  history.note('vendorFault', fault.name, fault.times);
  time.after(random.int(60_000, 40 * 60_000), () => {
    if (fullscript.faults.list().some(({ id }) => id === fault.id)) fullscript.faults.switchOff(fault.id);
  });
}

const faultAsks: readonly ((random: Random) => FaultAsk)[] = [
  () => ({ name: 'rate-limited' }),
  (random) => ({ name: 'rate-limited', retryAfterSeconds: random.int(1, 600) }),
  (random) => ({ name: 'error-status', status: random.pick([500, 502, 503, 418]) }),
  (random) => ({ name: 'html-error', status: random.pick([200, 502]) }),
  () => ({ name: 'redirect' }),
  (random) => ({ name: 'connection-dropped', point: random.pick(['before', 'after', 'during']) }),
  (random) => ({ name: 'slow-answer', ms: random.int(1_000, 40_000) }),
  () => ({ name: 'truncated-json' }),
  () => ({ name: 'invalid-utf8' }),
  () => ({ name: 'unauthorized' }),
  (random) => ({ name: 'tokens-expire-early', seconds: random.int(60, 3_600) }),
  () => ({ name: 'invalid-grant' }),
  () => ({ name: 'strict-rotation' }),
  () => ({ name: 'strict-rotation' }),
  () => ({ name: 'refresh-token-missing' }),
  (random) => ({ name: 'odd-expires-in', expiresIn: random.pick([0, -5, 'soon', null, 61, 1e12]) }),
  () => ({ name: 'category-missing' }),
  () => ({ name: 'category-forbidden' }),
  () => ({ name: 'category-unauthorized' }),
  (random) => ({ name: 'retrieval-fails', status: random.pick([500, 404, 422, 429, 401]) }),
  () => ({ name: 'order-descending' }),
  () => ({ name: 'named-day-included' }),
  (random) => ({ name: 'day-zone', utcOffsetMinutes: random.pick([-600, -480, 345, 840]) }),
  () => ({ name: 'item-without-id' }),
  () => ({ name: 'item-twice' }),
  () => ({ name: 'page-cycle' }),
  () => ({ name: 'other-list-key' }),
  () => ({ name: 'bare-event' }),
  () => ({ name: 'event-payload-wrapper' }),
  () => ({ name: 'unknown-keys' }),
  () => ({ name: 'reordered-keys' }),
  () => ({ name: 'without-clinic-id' }),
  () => ({ name: 'item-of-other-clinic' }),
  () => ({ name: 'unknown-type' }),
  () => ({ name: 'odd-ids' }),
  () => ({ name: 'equal-timestamps' }),
];
