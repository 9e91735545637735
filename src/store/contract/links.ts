/** Why no connection came of a link that was used. */
export interface LinkFailure {
  readonly kind: 'denied' | 'codeRefused' | 'vendorAway' | 'otherClinic';
  /** One line for whoever runs the relay; `null` when the kind says it all. */
  readonly reason: string | null;
}

/** The links by which clinics are connected from a browser: only those that were used are on record. */
export interface LinkStore {
  /**
   * Uses up a link, by the id of the connection that was to come of it.
   *
   * @param keptUntil so long it is known that it was used, and what came of it.
   * @returns false when it was used before.
   */
  useLink(connectionId: string, keptUntil: number): Promise<boolean>;
  /** Nothing came of a link that was used; of one that is on record no more nothing is kept. */
  failLink(connectionId: string, failure: LinkFailure): Promise<void>;
  /**
   * @returns `null` for a link that nobody has used. One without a failure has become a
   *   connection, is about to, or was cut off by the end of a process.
   */
  usedLink(connectionId: string): Promise<{ readonly failure: LinkFailure | null } | null>;
}
