import type { Job } from './jobs.ts';

export interface ErasureStore {
  /**
   * Puts on record that one patient's events are erased: nothing is sent or shown of them
   * any more. It opens every event, one such work at a time. What comes in after it began
   * may be left out.
   *
   * @throws the signal's reason when it is ended halfway: what is on record stays so
   */
  erase(ask: ErasureAsk): Promise<Erased>;
  /**
   * Takes off the disk what is on record as erased, by whomever and whenever; asked again
   * it goes on where it was cut off.
   *
   * @throws StoreUnavailable while the disk is full
   */
  removeErased(signal: AbortSignal): Promise<void>;
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
  /** The job as it stands then: it goes on record with the last of what is erased. */
  readonly jobAfter: (erased: Erased) => Job;
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
  /** Files that hold bytes of them, to be written anew without these. */
  readonly files: number;
  /** Events whose text is damaged: nobody can say whose they are. */
  readonly unreadable: number;
  /** A code of the patient's id, as it is on record. */
  readonly patient: string;
}
