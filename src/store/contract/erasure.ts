export interface ErasureStore {
  /**
   * Erases the texts of one patient's events, and what was answered to their deliveries:
   * on record first, then from the disk. It opens every event, one such work at a time.
   * What comes in after it began may be left out.
   *
   * @throws the signal's reason when it is ended halfway: what is on record is erased from
   *   the disk all the same, at the next start at the latest
   */
  erase(ask: ErasureAsk): Promise<Erased>;
}

export interface ErasureAsk {
  readonly patientId: string;
  /** `null` for all. */
  readonly clinicId: string | null;
  /** Open deliveries of such events end as failed (`erased`); otherwise nothing is erased while there are any. */
  readonly endsOpen: boolean;
  /** Counts and changes nothing. */
  readonly isDryRun: boolean;
  /** The subject that asks for it. */
  readonly by: string;
  readonly signal: AbortSignal;
}

export interface Erased {
  readonly isErased: boolean;
  /** Events that were erased, or would be. */
  readonly events: number;
  /** Open deliveries that stand in the way, or would end; after an erasure, events that were opened by a replay meanwhile, and left. */
  readonly open: number;
  /** Open deliveries that were ended. */
  readonly ended: number;
  /** Files that were written anew without them. */
  readonly files: number;
  /** Events whose text is damaged: nobody can say whose they are. */
  readonly unreadable: number;
  /** A code of the patient's id, as it is on record. */
  readonly patient: string;
}
