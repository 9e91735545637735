import type { Tokens } from '../../domain/clinic.ts';

/** A pair that is no connection's any more, and that the vendor has not ended yet. */
export interface Revocation {
  readonly id: string;
  readonly tokens: Tokens;
  /** How often the vendor has not taken it. */
  readonly failures: number;
  readonly dueAt: number;
}

/** `deleteConnection` and `forgetTokens` add to it. */
export interface RevocationStore {
  revocations(): Promise<readonly Revocation[]>;
  /** Adds it, or replaces it. */
  saveRevocation(revocation: Revocation): Promise<void>;
  /** It is done, or given up: its tokens are on record no more. */
  endRevocation(id: string): Promise<void>;
}
