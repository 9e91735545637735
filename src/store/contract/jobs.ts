/** A stored piece of long work: it survives restarts, and running it twice does no more than once. */
export interface Job {
  readonly id: string;
  readonly kind: 'replay' | 'backfill' | 'audit' | 'erasure';
  readonly state: 'running' | 'done' | 'cancelled';
  /** The subject whose job it is. */
  readonly owner: string;
  readonly createdAt: number;
  readonly endedAt: number | null;
  /** What was asked, as its kind defines it. */
  readonly ask: Readonly<Record<string, unknown>>;
  /** How far it is, as its kind defines it. */
  readonly progress: Readonly<Record<string, unknown>>;
}

/** An ended job may be deleted as an ended delivery is, days later; an audit is not. */
export interface JobStore {
  saveJob(job: Job): Promise<void>;
  job(jobId: string): Promise<Job | null>;
  jobs(): Promise<readonly Job[]>;
  /** Takes it off the record; nothing happens when there is none. */
  deleteJob(jobId: string): Promise<void>;
}

export interface BudgetStore {
  /**
   * Takes up to `count` requests out of the rolling window. What is granted counts for
   * the window from now on, used or not; it must be used within `useWithinMs`, so that no
   * restart overruns the vendor's limit.
   *
   * @param limit requests in any `windowMs`.
   */
  reserveRequests(ask: {
    readonly count: number;
    readonly limit: number;
    readonly windowMs: number;
  }): Promise<{ readonly granted: number; readonly useWithinMs: number; readonly retryInMs: number }>;
}

export interface RevokedTokenStore {
  /** Kept until `expiresAt` at least, when the token would have ended anyway. */
  revokeToken(jti: string, expiresAt: number): Promise<void>;
  isRevoked(jti: string): Promise<boolean>;
}
