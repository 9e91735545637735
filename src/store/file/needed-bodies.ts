import { type Clock, wait } from '../../clock.ts';
import { StoreUnavailable } from '../../domain/errors.ts';
import type { Bodies } from './bodies.ts';
import type { ColdRows } from './cold-rows.ts';
import type { Commits } from './commits.ts';
import type { EventRow, SealedRef } from './facts.ts';
import { eventKey, stateIn } from './kinds.ts';
import { backfilledIn, eventsIn, hasDelivery, isOpen } from './retention-rules.ts';
import type { State } from './state.ts';

export interface NeededBodiesDependencies {
  readonly commits: Commits;
  readonly bodies: Bodies;
  readonly coldRows: ColdRows;
  readonly clock: Clock;
}

/** Rows that are looked at in one go: less than a millisecond of work. */
const rowsPerLook = 1_024;
const movedPerCommit = 20;

/** Moves what is still needed of a file that is old enough to go to the file of today. */
export class NeededBodies {
  readonly #on: NeededBodiesDependencies;
  readonly #halt: AbortSignal;

  /** @param halt ends a move after the commit under way. */
  constructor(dependencies: NeededBodiesDependencies, halt: AbortSignal) {
    this.#on = dependencies;
    this.#halt = halt;
  }

  /** @param endedBefore what ended before this instant is needed no more. */
  async move(file: string, endedBefore: number): Promise<number> {
    const { commits, coldRows } = this.#on;
    const isNeeded = (state: State) => (each: number) =>
      isOpen(state, each) || state.deliveries.columns.endedAt.get(each) >= endedBefore;
    const { end, backfilled } = await commits.read((state) => ({
      end: state.events.end,
      backfilled: backfilledIn(state, 0, isNeeded(state)).events,
    }));
    const needed: number[] = [];
    for (let from = 0; from < end; from += rowsPerLook) {
      if (from > 0) await wait(this.#on.clock, 0, this.#halt);
      const to = Math.min(from + rowsPerLook, end);
      needed.push(
        ...(await commits.read((state) => {
          const isNeededHere = isNeeded(state);
          return eventsIn(state, { from, to }, file).filter(
            (number) => backfilled.has(number) || hasDelivery(state, number, isNeededHere),
          );
        })),
      );
    }
    let moved = 0;
    for (let from = 0; from < needed.length && !this.#halt.aborted; from += movedPerCommit) {
      const found = await commits.read(({ events }) =>
        needed.slice(from, from + movedPerCommit).flatMap((number) => {
          return events.isThere(number) ? [events.at(number)] : [];
        }),
      );
      moved += await this.#moveBodies((await coldRows.rows(found)).filter((row) => row.body?.file === file));
    }
    return moved + (await this.#moveExcerpts(file));
  }

  async #moveBodies(rows: readonly EventRow[]): Promise<number> {
    const { commits, bodies, clock } = this.#on;
    const read: { row: EventRow; record: string; plain: Buffer }[] = [];
    for (const row of rows) {
      const record = eventKey(row.bodyOf ?? row.clinicId, row.id);
      const plain = await this.#readable(() => bodies.open(row.body as SealedRef, { kind: 'body', record }));
      if (plain) read.push({ row, record, plain });
    }
    await commits.commit(({ record: put, keep }) => {
      for (const { row, record, plain } of read) {
        const body = keep(plain, { kind: 'body', record });
        const { clinicId: clinic, id: event, bodyOf } = row;
        put({
          t: 'bodyMoved',
          at: clock.now(),
          clinic,
          event,
          body,
          ...(bodyOf !== undefined && { bodyOf }),
        });
      }
    });
    return read.length;
  }

  /** Of deliveries that are open: those that ended lose theirs with the file. */
  async #moveExcerpts(file: string): Promise<number> {
    const { commits, bodies, clock } = this.#on;
    const open: { readonly id: string; readonly number: number; readonly excerpt: SealedRef | null }[] = [];
    const end = await commits.read(({ deliveries }) => deliveries.end);
    for (let from = 0; from < end && !this.#halt.aborted; from += rowsPerLook) {
      if (from > 0) await wait(clock, 0, this.#halt);
      open.push(...(await commits.read((state) => openExcerptsIn(state, from, file))));
    }
    let moved = 0;
    for (const { id: delivery, number: n, excerpt } of open) {
      if (this.#halt.aborted || !excerpt) break;
      const sealedFor = { kind: 'excerpt', record: `${delivery}#${n}` } as const;
      const plain = await this.#readable(() => bodies.open(excerpt, sealedFor));
      if (!plain) continue;
      await commits.commit(({ record, keep }) => {
        const to = keep(plain, sealedFor);
        record({ t: 'excerptMoved', at: clock.now(), delivery, n, from: excerpt, excerpt: to });
      });
      moved++;
    }
    return moved;
  }

  /** `null` when it is damaged: there is nothing to move then. */
  async #readable(read: () => Promise<Buffer>): Promise<Buffer | null> {
    try {
      return await read();
    } catch (error) {
      if (error instanceof StoreUnavailable) throw error;
      return null;
    }
  }
}

/** Of the deliveries from number `from` on, the excerpts of open ones that lie in the file. */
function openExcerptsIn({ deliveries, attempts }: State, from: number, file: string) {
  const found: { readonly id: string; readonly number: number; readonly excerpt: SealedRef | null }[] = [];
  for (let number = from; number < Math.min(from + rowsPerLook, deliveries.end); number++) {
    if (!deliveries.isThere(number) || stateIn(deliveries.columns.flags.get(number)) !== 'pending') continue;
    const each = deliveries.at(number);
    if (!('row' in each)) continue;
    const { id } = each.row;
    for (const row of attempts.get(id) ?? []) if (row.excerpt?.file === file) found.push({ id, ...row });
  }
  return found;
}
