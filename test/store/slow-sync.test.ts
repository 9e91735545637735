import { expect, test } from 'vitest';
import type { AppendedFile } from '../../src/store/file/disk.ts';
import { simulatedClock } from '../world/clock.ts';
import { SimulatedDisk, storeOn } from '../world/disk.ts';
import { aClinic, anEvent, claim, furnished, record } from './fixtures.ts';

const noon = Date.parse('2026-11-22T12:00:00Z');

test('case 44: while a sync takes half a minute nothing is acknowledged or given out to be sent, and then everything is', async () => {
  const clock = simulatedClock(noon);
  const disk = new SimulatedDisk();
  let syncMs = 0;
  const { openForAppend } = disk;
  disk.openForAppend = async (path) => {
    const file = await openForAppend.call(disk, path);
    const slow: AppendedFile = {
      get length() {
        return file.length;
      },
      append: (bytes) => file.append(bytes),
      truncate: (length) => file.truncate(length),
      assertUntouched: () => file.assertUntouched(),
      close: () => file.close(),
      datasync: async () => {
        if (syncMs > 0) await new Promise<void>((resolve) => clock.after(syncMs, resolve));
        await file.datasync();
      },
    };
    return slow;
  };
  const store = await storeOn(disk, clock);
  await furnished(store);
  await record(store, [anEvent('e1')]);
  syncMs = 30_000;
  const answered: string[] = [];
  const saving = store.saveClinic(aClinic('c2', 'Two')).then(() => answered.push('saved'));
  const claiming = claim(store).then((claims) => {
    answered.push('claimed');
    return claims;
  });
  await clock.advance(29_000);
  expect(answered).toEqual([]);
  expect(
    await (
      await storeOn(
        disk.kill().powerCut(() => 0.99),
        clock,
      )
    ).deliveryCounts(null),
  ).toMatchObject({
    pending: 1,
  });
  await clock.advance(2_000);
  syncMs = 0;
  await saving;
  const [first] = await claiming;
  expect(answered.sort()).toEqual(['claimed', 'saved']);
  // The lease began when the claim was on record, and not when it was asked for.
  expect(await claim(store)).toEqual([]);
  expect(first).toMatchObject({ attempt: 1 });
});
