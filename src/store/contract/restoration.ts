export interface RestorationStore {
  /** What is still held since the store came out of a backup; `null` when nothing is, or it never did. */
  restoration(): Promise<Restoration | null>;
}

/** Instants are epoch milliseconds. */
export interface Restoration {
  /** When the backup was taken: what came after it is not in the store. */
  readonly takenAt: number;
  readonly restoredAt: number;
  /** Paused with reason `restored`. */
  readonly subscribers: number;
  readonly connections: number;
  /** Owed to those subscribers; some may have been delivered since the backup was taken. */
  readonly openDeliveries: number;
}
