export interface SeenStore {
  /**
   * Takes over ids of events that somebody handled without the relay: from now on they are
   * known in that clinic, withheld as `imported`, and never owed to anybody. One that
   * somebody was owed already stays as it is. Doing it again changes nothing.
   *
   * @param how.isDryRun only counts.
   * @throws NotFound when the clinic is not known
   */
  importSeen(
    clinicId: string,
    eventIds: readonly string[],
    how: { readonly isDryRun: boolean },
  ): Promise<SeenImported>;
}

/** How many of the ids, each counted once. */
export interface SeenImported {
  /** The log did not know: they will not be read. */
  readonly recorded: number;
  /** The log knew and nobody was owed: no backfill sends them. */
  readonly withheld: number;
  /** Were imported before. */
  readonly known: number;
  /** Somebody was owed already: left as they are. */
  readonly owed: number;
}
