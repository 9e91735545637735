import { expect, test } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { anEvent, furnished, record } from './fixtures.ts';

/** The part of the contract that a listener needs: the log read forward. */
export function readsForward(under: {
  readonly store: () => Store;
  readonly reopened: () => Promise<Store>;
}): void {
  const idsAfter = async (
    position: string | null,
    filter: { clinicId?: string; since?: number } = {},
    limit = 10,
  ) => {
    const { items, position: end } = await under.store().eventsAfter(position, filter, limit);
    return { ids: items.map(({ event }) => event.id), end, positions: items.map((item) => item.position) };
  };

  test('events come in the order in which they were recorded, and each position goes on right after its event', async () => {
    await furnished(under.store());
    expect((await idsAfter(await under.store().eventsEnd())).ids).toEqual([]);
    await record(under.store(), [anEvent('e1'), anEvent('e2', { type: 'patient.created' }), anEvent('e3')]);
    const whole = await idsAfter(null);
    expect(whole.ids).toEqual(['e1', 'e2', 'e3']);
    expect((await idsAfter(whole.positions[0] as string)).ids).toEqual(['e2', 'e3']);
    expect((await idsAfter(null, {}, 2)).ids).toEqual(['e1', 'e2']);
    expect(whole.end).toBe(await under.store().eventsEnd());
    await under.reopened();
    expect((await idsAfter(whole.positions[1] as string)).ids).toEqual(['e3']);
    await record(under.store(), [anEvent('e4')]);
    expect((await idsAfter(whole.end)).ids).toEqual(['e4']);
  });

  test('a position also passes what nobody asked for, so that it is not looked at again', async () => {
    await furnished(under.store());
    await record(under.store(), [anEvent('e1'), anEvent('e2')]);
    const { ids, end } = await idsAfter(null, { clinicId: 'another' });
    expect(ids).toEqual([]);
    expect(end).toBe(await under.store().eventsEnd());
  });

  test('a position that this log never gave is refused, and one of another log is told from it', async () => {
    await furnished(under.store());
    await record(under.store(), [anEvent('e1'), anEvent('e2')]);
    const { positions } = await idsAfter(null);
    const [number = ''] = positions[0]?.split('-') ?? [];
    for (const bad of ['', 'x', '1', '-1-00000000', `${number}-0000000g`]) {
      await expect(idsAfter(bad), bad).rejects.toMatchObject({ code: 'bad_position' });
    }
    for (const other of [`${number}-00000000`, '99-00000000']) {
      await expect(idsAfter(other), other).rejects.toMatchObject({ code: 'position_gone' });
    }
  });
}
