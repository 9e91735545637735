import { expect, test } from 'vitest';
import type { Stream } from '../../src/domain/clinic.ts';
import { DueStreams } from '../../src/source/due-streams.ts';

function streamOf(clinicId: string, category = 'orders'): Stream {
  return { clinicId, category } as Stream;
}

test('each gets its turn; one whose clinic has no room keeps it, and goes before the others once there is', () => {
  const due = new DueStreams(['slow', 'slow', 'b', 'c', 'd'].map((id) => streamOf(id)));
  const takeUnless = (...full: string[]) => due.take(({ clinicId }) => !full.includes(clinicId))?.clinicId;
  expect([takeUnless('slow'), due.size]).toEqual(['b', 4]);
  expect([takeUnless('slow'), due.size]).toEqual(['c', 3]);
  expect([takeUnless(), takeUnless('slow'), due.size]).toEqual(['slow', 'd', 1]);
  expect([takeUnless('slow'), due.size]).toEqual([undefined, 1]);
  expect([takeUnless(), takeUnless(), due.size]).toEqual(['slow', undefined, 0]);
});

test('with sixty thousand due, a turn looks at the few that it is about', () => {
  const clinics = Array.from({ length: 10_000 }, (_, number) => `clinic-${number}`);
  const due = new DueStreams(
    clinics.flatMap((id) => ['a', 'b', 'c', 'd', 'e', 'f'].map((category) => streamOf(id, category))),
  );
  let looks = 0;
  for (let turn = 0; turn < 1_000; turn++) {
    due.take(({ clinicId }) => {
      looks += 1;
      return clinicId !== 'clinic-0';
    });
  }
  expect(looks).toBeLessThan(8 * 1_000);
});
