import { isDeepStrictEqual } from 'node:util';
import { StoreCorrupt } from '../../domain/errors.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Fact } from './facts.ts';
import { streamKey } from './state.ts';

const compared = ['clinics', 'connections', 'streams', 'subscribers', 'tokenKeys'] as const;

/**
 * The rows that a whole journal leads to, of the tables that say where is read, where
 * is sent and who signs. A start takes them from the checkpoint, which anybody who can write the file
 * can write; here they are held against what only the holder of the keys can.
 */
export class FoldedRows {
  readonly #rows = new Map<string, unknown>();

  take(fact: Fact): void {
    if (fact.t === 'clinic') this.#rows.set(`clinics ${fact.row.id}`, fact.row);
    else if (fact.t === 'connection') this.#rows.set(`connections ${fact.row.id}`, fact.row);
    else if (fact.t === 'connectionGone') this.#rows.delete(`connections ${fact.id}`);
    else if (fact.t === 'stream') this.#rows.set(`streams ${streamKey(fact.row)}`, fact.row);
    else if (fact.t === 'tokenKey') this.#rows.set(`tokenKeys ${fact.row.id}`, fact.row);
    else if (fact.t === 'tokenKeyGone') this.#rows.delete(`tokenKeys ${fact.id}`);
    else if (fact.t === 'subscriber') this.#rows.set(`subscribers ${fact.row.id}`, withoutPause(fact.row));
  }

  /** @throws StoreCorrupt naming the first row that differs. */
  assertSame({ tables }: Checkpoint): void {
    const left = new Map(this.#rows);
    for (const table of compared) {
      for (const [key, row] of tables[table] ?? []) {
        const name = `${table} ${key}`;
        const said = table === 'subscribers' ? withoutPause(row as object) : row;
        if (!isDeepStrictEqual(said, left.get(name))) throw forged(name);
        left.delete(name);
      }
    }
    for (const name of left.keys()) throw forged(name);
  }
}

/** An attempt may pause a subscriber, and then stands in the journal in its place. */
function withoutPause(row: object): object {
  const { pauseReasons: _reasons, pausedAt: _at, ...rest } = row as Record<string, unknown>;
  return rest;
}

function forged(name: string): StoreCorrupt {
  return new StoreCorrupt(
    'checkpoint_corrupt',
    `The checkpoint says something else than the journal of ${name}.`,
    {
      hint: 'Somebody may have changed it. The journal holds the truth: stop the relay and move checkpoint.json and checkpoint.json.previous away; the next start makes it anew.',
    },
  );
}
