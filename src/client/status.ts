import type { ClinicView } from './clinics.ts';
import type { CallApi } from './relay-api.ts';

export interface StreamView {
  readonly clinicId: string;
  readonly category: string;
  readonly state: 'new' | 'reading' | 'failing' | 'off';
  /** What was created before is past. */
  readonly startAt: string;
  /** Up to which moment all that Fullscript listed is on record; `null` before the first complete reading. */
  readonly readUntil: string | null;
  /** The last stretch that Fullscript listed no more when the stream came to be read. */
  readonly gap: { readonly from: string; readonly until: string } | null;
  /** Since the last complete reading began; `null` before the first. */
  readonly lagSeconds: number | null;
  readonly problem: string | null;
  /** How long after its `created_at` an event was still not listed: the greatest of the last 30 days. */
  readonly lateSeconds: number;
  /** While it does not advance: days until the vendor no longer lists what is missing. */
  readonly daysLeft: number | null;
}

/** An item of a list that could not be read. */
export interface SetAsideView {
  readonly clinicId: string;
  readonly category: string;
  readonly eventId: string | null;
  readonly reason: string;
  readonly detail: string;
  readonly tries: number;
  /** It no longer stops its stream, and is tried again daily. */
  readonly isFinal: boolean;
}

export interface StatusView {
  readonly at: string;
  /** Events are read and recorded, and nothing is sent. */
  readonly shadow?: boolean;
  readonly store: {
    /** Why no writes are taken at the moment; `null` when they are. */
    readonly trouble: {
      readonly message: string;
      readonly hint: string;
      readonly since: string | null;
    } | null;
    /** What is held since the store came out of a backup; `null` when nothing is. */
    readonly restored: {
      readonly takenAt: string;
      readonly restoredAt: string;
      readonly subscribers: number;
      readonly connections: number;
      readonly openDeliveries: number;
    } | null;
  };
  readonly clinics: readonly ClinicView[];
  readonly streams: readonly StreamView[];
  readonly budget?: {
    /** What either of them would have to be; `null` while each stream can be polled every `pollSecondsMax`. */
    readonly shortfall: { readonly requestsPerFiveMinutes: number; readonly pollSecondsMax: number } | null;
    /** What cannot be sent to Fullscript at the moment, and why; `null` while requests may go. */
    readonly standstill?: {
      readonly because: 'usedUp' | 'vendorAsked' | 'manyEvents';
      /** Whose new events wait; `null` when nothing at all is sent. */
      readonly clinicId: string | null;
      readonly since: string;
      readonly until: string;
    } | null;
  } | null;
  /** Since the relay started; `reused` are those on a connection that an earlier request had left open. */
  readonly connections?: { readonly answered: number; readonly reused: number } | null;
  /** Without the scope `admin` they are only counted; of many, the first are shown. */
  readonly setAside: { readonly count: number; readonly items: readonly SetAsideView[] };
  readonly deliveries: {
    readonly counts: Readonly<Record<string, number>>;
    /** Since when the oldest delivery that may be sent has waited for its turn; `null` when none does. */
    readonly overdueSince: string | null;
  };
  /** `null` without the scope `admin`. */
  readonly audits: {
    readonly last: {
      readonly id: string;
      readonly endedAt: string;
      readonly balanced: boolean;
      readonly listed: number;
      readonly missing: number;
      readonly repaired: number;
      readonly unlistedInNeed: number;
    } | null;
    readonly running: { readonly id: string; readonly streams: number; readonly done: number } | null;
  } | null;
  readonly subscribers: {
    readonly counts: Readonly<Record<string, number>>;
    readonly notActive: readonly {
      readonly id: string;
      readonly name: string;
      readonly state: string;
      readonly pauseReasons: readonly string[];
    }[];
  };
}

export async function showStatus(call: CallApi): Promise<StatusView> {
  return (await call({ method: 'GET', path: '/v1/status' })) as StatusView;
}
