import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { createGuards } from '../../src/delivery/guards.ts';
import { toOperator } from '../../src/main/operator.ts';
import { aClinic } from '../store/fixtures.ts';
import { simulatedClock } from '../world/clock.ts';
import { SimulatedDisk, storeOn } from '../world/disk.ts';
import { keptLog } from '../world/log.ts';

const startMs = Date.UTC(2026, 10, 22, 12);
const hourMs = 3_600_000;

test('without a URL for it, that a clinic is behind stands in the log, and again when few days are left', async () => {
  const clock = simulatedClock(startMs);
  const store = await storeOn(new SimulatedDisk(), clock);
  await store.saveClinic(aClinic());
  await store.follow('clinic-1', [{ category: 'orders', startAt: startMs }]);
  const config = loadConfig({
    path: 'relay.config.json',
    env: {
      RELAY_MASTER_KEY: randomBytes(32).toString('base64'),
      RELAY_JWT_SECRET: randomBytes(32).toString('base64'),
    },
    readFile: () => JSON.stringify({ source: { environment: 'us', clientId: 'c', clientSecret: 's' } }),
  });
  const { logger, lines } = keptLog();
  const guards = createGuards({ ...config.delivery, listening: () => [] }, config);
  const shared = { store, clock, random: () => 0, logger, onFatal: () => {} };
  const operator = toOperator(config, guards.operationalEvents, shared);
  operator.watch.start();
  for (let hours = 0; hours < 31 * 24; hours += 6) await clock.advance(6 * hourMs);
  await operator.stop();
  const told = lines.filter(({ message }) => message.includes('Washington is behind: orders not read yet.'));
  expect(told.map(({ level, facts }) => [level, facts.daysLeft])).toEqual(
    [29, 7, 3, 1, 0].map((daysLeft) => ['warn', daysLeft]),
  );
  expect(operator.messenger).toBeNull();
});
