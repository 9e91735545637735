import { describe, expect, test } from 'vitest';
import { apply } from '../../src/store/file/apply.ts';
import { foldedTables, loadCheckpoint } from '../../src/store/file/checkpoint.ts';
import { State } from '../../src/store/file/state.ts';
import { aClinic } from './fixtures.ts';

describe('case 61: what a newer version wrote', () => {
  test('a kind of fact that nobody here knows refuses the start and is named', () => {
    const fact = { t: 'teleported', of: ['dlv_1'] } as never;
    expect(() => apply(new State(), fact)).toThrow(
      expect.objectContaining({ code: 'journal_newer', message: expect.stringContaining('"teleported"') }),
    );
  });

  test('a field that nobody here knows is kept over a checkpoint', () => {
    const row = { ...aClinic(), favourite: { colour: 'green' } };
    const state = new State();
    apply(state, { t: 'clinic', row });
    const tables = JSON.parse(JSON.stringify(foldedTables(state)));
    const again = new State();
    loadCheckpoint(again, { format: 1, storeId: 'store', sequence: 1, tables });
    expect(again.clinics.get(row.id)).toEqual(row);
  });
});
