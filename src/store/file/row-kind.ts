import type { ColumnKind } from './columns.ts';

/** What distinguishes one kind of rows from another. */
export interface RowKind<Row, Name extends string> {
  /** What lists, counts and rules look at. */
  readonly columns: Readonly<Record<Name, ColumnKind>>;
  columnsOf(row: Row): Readonly<Record<Name, number>>;
  /** The row's name in memory. */
  nameOf(row: Row): string;
  /** The id in a name, and the clinic when several rows may share the id. */
  seek(name: string): { readonly id: string; readonly clinicId?: string };
  /** All that is to be kept of a row, what is held beside it included, as JSON can say it. */
  store(row: Row): unknown;
  /** The row that `store` gave, what is held beside it put back. */
  restore(stored: unknown): Row;
  /** True while work may come to it at any moment: such rows stay in memory. */
  isBusy(row: Row): boolean;
  /** It came into memory out of an index. */
  entered(row: Row): void;
  /** It left memory, and what is held beside it may go. */
  left(row: Row): void;
  /** A row was removed, or (by 1) the removal was taken back; its columns still say what it was. */
  removed(number: number, by: 1 | -1): void;
  changed(before: Row | undefined, after: Row | undefined): void;
}
