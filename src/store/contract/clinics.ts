import type { Clinic, Connection, Tokens } from '../../domain/clinic.ts';
import type { Claim } from './claim.ts';
import type { Revocation } from './revocations.ts';

export interface ClinicStore {
  clinics(): Promise<readonly Clinic[]>;
  /** Adds it, or replaces what is known of it. A name that another clinic has is a `Conflict` `clinic_name_taken`. */
  saveClinic(clinic: Clinic): Promise<void>;
  /** Changes only what is given, of the clinic as it is at that moment. @throws NotFound */
  changeClinic(clinicId: string, change: Partial<Pick<Clinic, 'isPaused' | 'isRemoved'>>): Promise<Clinic>;
  connections(): Promise<readonly Connection[]>;
  /**
   * Adds it, or replaces everything but its tokens. Given `tokens` replace the pair; so
   * does `null` when the tokens come from elsewhere now (another kind of origin, another
   * `tokenUrl`, another `declaredDigest`). The pair that was replaced stays as spare.
   */
  saveConnection(connection: Connection): Promise<void>;
  /**
   * Says whose clinic a connection is, and calls it so; changes nothing else of it.
   * @returns false when it was removed, or is another clinic's: then nothing changes.
   */
  assignClinic(connectionId: string, clinic: Pick<Clinic, 'id' | 'name'>): Promise<boolean>;
  /**
   * Takes it off the record; nothing happens when there is none.
   *
   * @param how.isRevoked the pairs that are the relay's own are owed to be revoked from the
   *   same moment on; else the vendor has ended them, and they are forgotten.
   * @returns what is owed, due at once.
   */
  deleteConnection(
    connectionId: string,
    how: { readonly isRevoked: boolean },
  ): Promise<readonly Revocation[]>;
  /**
   * Takes both pairs off the connection and keeps the rest; a person has to act. They are
   * owed to be revoked from the same moment on.
   * @param needsReconnect why, in one line.
   * @returns what is owed, due at once.
   */
  forgetTokens(connectionId: string, needsReconnect: string): Promise<readonly Revocation[]>;
  /** The right to renew a connection's tokens; `null` while somebody else has it. */
  claimRefresh(connectionId: string, leaseMs: number): Promise<RefreshClaim | null>;
  /**
   * Replaces the pair; the old one stays as spare. Ends the claim.
   * @throws ClaimLost also when the pair that was to be renewed was replaced or removed meanwhile
   * @throws NotFound when the connection was
   */
  saveTokens(claim: RefreshClaim, tokens: Tokens): Promise<Connection>;
  /** The pair of this access token worked: the spare one is dropped, if that pair is still the current one. */
  dropSpareTokens(connectionId: string, accessToken: string): Promise<void>;
  /**
   * Ends the claim without new tokens; a claim that is lost already is let be.
   * @param needsReconnect the one-line reason when a person has to act.
   * @throws ClaimLost, NotFound as `saveTokens` does, given a reason: it is about the pair of the claim
   */
  endRefresh(claim: RefreshClaim, needsReconnect: string | null): Promise<void>;
}

export interface RefreshClaim extends Claim {
  readonly connection: Connection;
}
