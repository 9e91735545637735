/** A clinic as the vendor knows it, and whether the relay polls it. */
export interface Clinic {
  /** The vendor's id: opaque, any length. */
  readonly id: string;
  /** The configured name, or the vendor's. Unique; filters may name a clinic by it. */
  readonly name: string;
  /** Set by a person: its streams are not polled, its connections stay alive. */
  readonly isPaused: boolean;
  /** Removed through the API: nothing is polled until a new pair of tokens comes. */
  readonly isRemoved: boolean;
  readonly createdAt: number;
}

/** Where a connection's access tokens come from. */
export type TokenOrigin =
  /** The relay alone rotates the pair. */
  | { readonly kind: 'refreshToken' }
  /** The operator's app answers `{accessToken, expiresAt}`; the relay never refreshes. */
  | { readonly kind: 'tokenUrl'; readonly url: string; readonly secret: string | null };

/** An access token and what renews it. Lives encrypted; never in a log line or an error. */
export interface Tokens {
  readonly accessToken: string;
  /** `null` for tokens that come from a `tokenUrl`. */
  readonly refreshToken: string | null;
  /** Epoch milliseconds, counted from receipt by `expires_in`, never from the vendor's clock. */
  readonly expiresAt: number;
}

export type ConnectionState =
  | 'working'
  /** The refresh ended in `invalid_grant`, or a fresh token is still refused: a person must authorize again. */
  | 'needsReconnect'
  /** It came out of a backup, and its tokens may be spent: not used until somebody resumes the clinic. */
  | 'restored';

/** One user's OAuth permission to read a clinic. */
export interface Connection {
  readonly id: string;
  /** `null` until the clinic was asked for under this token. */
  readonly clinicId: string | null;
  readonly name: string;
  /** Nobody has named it: until its clinic is known its id stands for a name, and then it is called as its clinic is. */
  readonly isUnnamed?: true;
  readonly origin: TokenOrigin;
  /** `null` before the first token of a `tokenUrl` has come. */
  readonly tokens: Tokens | null;
  /** The pair that was replaced, kept until the new one has worked. */
  readonly spareTokens: Tokens | null;
  /** SHA-256 of the pair in the file, so that a changed file pair is noticed; `null` if not declared. */
  readonly declaredDigest: string | null;
  readonly state: ConnectionState;
  /** Why it needs to reconnect, in one line; `null` while working. */
  readonly stateReason: string | null;
  readonly refreshedAt: number | null;
  readonly createdAt: number;
  /** Where its clinic's streams start, see `readStartFrom`; absent for the configured `source.startFrom`. */
  readonly startFrom?: string;
}

/** It has no access token that is good, and only the operator's own app can give it one. */
export function waitsForApp({ origin, tokens }: Connection, now: number): boolean {
  return origin.kind === 'tokenUrl' && (tokens === null || tokens.expiresAt <= now);
}

/** Its tokens come from another place than before, or the file names other ones: the pair that there is counts no more. */
export function comesFromElsewhere(before: Connection, after: Connection): boolean {
  if (before.declaredDigest !== after.declaredDigest || before.origin.kind !== after.origin.kind) return true;
  return (
    before.origin.kind === 'tokenUrl' &&
    after.origin.kind === 'tokenUrl' &&
    before.origin.url !== after.origin.url
  );
}

/** What came of renewing the tokens of `before` still counts: nobody has replaced, condemned or removed them since. */
export function hasSameTokens(before: Connection, now: Connection): boolean {
  return (
    before.tokens?.accessToken === now.tokens?.accessToken &&
    before.state === now.state &&
    !comesFromElsewhere(before, now)
  );
}

export interface StreamKey {
  readonly clinicId: string;
  readonly category: string;
}

/** What belongs to clinics, sorted out in one pass; what belongs to none yet is left out. */
export function byClinic<Row extends { readonly clinicId: string | null }>(
  rows: readonly Row[],
): ReadonlyMap<string, readonly Row[]> {
  const ofClinics = new Map<string, Row[]>();
  for (const row of rows) {
    if (row.clinicId === null) continue;
    const others = ofClinics.get(row.clinicId);
    if (others === undefined) ofClinics.set(row.clinicId, [row]);
    else others.push(row);
  }
  return ofClinics;
}

/** One category of one clinic. */
export interface Stream extends StreamKey {
  /** Events created before this moment are known and not delivered. Set once, survives everything. */
  readonly startAt: number;
  /** Every event created before this moment was read by a completed poll: a hint, the ids are the truth. `null`: never read. */
  readonly cursor: number | null;
  /** When the last poll that went through to the last page ended, by the relay's clock; `null`: never. */
  readonly polledAt: number | null;
  /** When the last completed reading of the whole 30 days ended, by the relay's clock; `null`: never. */
  readonly sweptAt: number | null;
  /** When it is to be polled next. */
  readonly nextPollAt: number;
  /** Polls that failed since the last completed one. */
  readonly failedInRow: number;
  /** Why the last poll failed, in one line; `null` after a completed one. */
  readonly problem: string | null;
  /** The category answers 401, 403 or 404 for this clinic; re-tried hourly. */
  readonly isOff: boolean;
  /** New events recorded so far, the known ones of the past not counted. */
  readonly recorded: number;
  /** Epoch milliseconds of the newest event listed so far; `null` if none was. */
  readonly newestEventAt: number | null;
  /** The greatest of the last 30 days; absent when nothing was listed late. */
  readonly lateness?: Lateness;
  /** The last one; absent when the stream was always read in time. */
  readonly gap?: Gap;
}

/** Source: Fullscript, "List events": it lists the last 30 days. */
const listedMs = 30 * 86_400_000;

/** What was created in between was read by no poll, and is listed no more. Epoch milliseconds. */
export interface Gap {
  readonly from: number;
  readonly until: number;
}

/**
 * What a complete poll that began at `beganAt` found gone; `null` when it came in time.
 *
 * @param connectedAt when the clinic was connected: a start may lie further back than the vendor lists.
 */
export function gapBefore(
  { cursor, startAt }: Pick<Stream, 'cursor' | 'startAt'>,
  { beganAt, connectedAt }: { readonly beganAt: number; readonly connectedAt: number },
): Gap | null {
  const from = cursor ?? Math.max(startAt, connectedAt);
  const until = beganAt - listedMs;
  return from < until ? { from, until } : null;
}

/** How long the vendor still lists all that was not read, in milliseconds; 0 when some of it is gone. */
export function listedForMs({ cursor, startAt }: Pick<Stream, 'cursor' | 'startAt'>, now: number): number {
  return Math.max(0, (cursor ?? startAt) + listedMs - now);
}

/** An event was not in the list of a complete poll that began `ms` after its `created_at`, and in a later one. */
export interface Lateness {
  readonly ms: number;
  /** When it was listed after all. */
  readonly at: number;
}

const latenessKeptMs = 30 * 86_400_000;

/** From half of the overlap on, lateness nears what only the next sweep would find. */
export function alarmingLatenessMs(overlapDays: number): number {
  return (overlapDays * 86_400_000) / 2;
}

/** @param ms of the poll that ends now; 0 when nothing was late. */
export function latenessAfter(before: Lateness | undefined, ms: number, now: number): Lateness | undefined {
  const isKept = before !== undefined && now - before.at < latenessKeptMs;
  if (ms <= (isKept ? before.ms : 0)) return isKept ? before : undefined;
  return { ms, at: now };
}

/** An item that could not be read, kept visible. */
export interface SetAside extends StreamKey {
  /** The event id, or a digest of the item's text when it has none. */
  readonly key: string;
  readonly eventId: string | null;
  readonly reason: SetAsideReason;
  /** One line for people. */
  readonly detail: string;
  readonly firstTriedAt: number;
  readonly lastTriedAt: number;
  readonly tries: number;
  /** False while it still stops the cursor of its stream. */
  readonly isFinal: boolean;
  /** When it was read after all; `null` until then, also when it is no longer listed. */
  readonly resolvedAt: number | null;
}

export type SetAsideReason = 'noId' | 'otherClinic' | 'retrievalFailed' | 'tooLarge';

/** Three tries over at least an hour, then the item is set aside and the cursor moves on. */
const retrievalTriesMax = 3;
const retrievalTryingMs = 3_600_000;

/** Items that no second look can change are final at once; a failed retrieval gets its hour. */
export function setAsideIsFinal(
  item: Pick<SetAside, 'reason' | 'tries' | 'firstTriedAt' | 'lastTriedAt'>,
): boolean {
  if (item.reason !== 'retrievalFailed') return true;
  return item.tries >= retrievalTriesMax && item.lastTriedAt - item.firstTriedAt >= retrievalTryingMs;
}
