/** The right to do a piece of work now. Opaque to whoever holds it. */
export interface Claim {
  readonly claimId: string;
}
