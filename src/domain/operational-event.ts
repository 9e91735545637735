import type { PauseReason } from './subscriber.ts';

interface About {
  /** Five different deliveries failed in a row: the rest is held, probes go on. */
  readonly 'relay.subscriber.failing': SubscriberNamed & { readonly since: string | null };
  readonly 'relay.subscriber.paused': SubscriberNamed & {
    readonly since: string | null;
    readonly reasons: readonly PauseReason[];
  };
  /** It is active again after it was told to be failing or paused. */
  readonly 'relay.subscriber.recovered': SubscriberNamed;
  /** Deliveries whose round is used up, of one subscriber in one minute. */
  readonly 'relay.delivery.failed': SubscriberNamed & {
    readonly count: number;
    /** The first of them. */
    readonly deliveryIds: readonly string[];
    /** What came of the last attempt of the last one, in a few words. */
    readonly lastOutcome: string;
  };
  readonly 'relay.clinic.needs_reconnect': {
    readonly connectionId: string;
    readonly name: string;
    /** `null` while it is not known whose the connection is. */
    readonly clinicId: string | null;
    readonly reason: string;
    /** Another connection reads the clinic meanwhile. */
    readonly hasSpare: boolean;
    /** Until the vendor no longer lists all that is not read; `null` when nothing of the clinic was read yet. */
    readonly daysLeft: number | null;
  };
  readonly 'relay.stream.behind': {
    readonly clinicId: string;
    readonly name: string;
    readonly categories: readonly string[];
    /** When the one that is furthest behind was last read to its end; `null`: never. */
    readonly readAt: string | null;
    /** Until the vendor no longer lists what is missing. */
    readonly daysLeft: number;
  };
  /** What was created in between was not read in time, and Fullscript lists it no more. */
  readonly 'relay.stream.gap': {
    readonly clinicId: string;
    readonly name: string;
    readonly category: string;
    readonly from: string;
    readonly until: string;
  };
  /** Fullscript listed events later than half of the overlap; what is later than all of it waits for a sweep. */
  readonly 'relay.stream.late': {
    readonly clinicId: string;
    readonly name: string;
    readonly category: string;
    /** Of the last 30 days: from `created_at` to when it was listed. */
    readonly lateHours: number;
    readonly overlapDays: number;
  };
  readonly 'relay.audit.missing': {
    readonly auditId: string;
    readonly missing: number;
    /** Of those that were missing, how many are taken in by now. */
    readonly repaired: number;
  };
  /** Somebody asked for it, to see it arrive. */
  readonly 'relay.test': { readonly askedBy: string };
}

interface SubscriberNamed {
  readonly subscriberId: string;
  readonly name: string;
}

export type OperationalEventType = keyof About;

/**
 * What the relay tells its operator by itself: ids, names, counts and codes, and nothing
 * of an event's body. Instants are ISO 8601.
 */
export type OperationalEvent = {
  readonly [Type in OperationalEventType]: { readonly type: Type; readonly data: About[Type] };
}[OperationalEventType];

/** The event in one line for people. */
export function sentenceOf({ type, data }: OperationalEvent): string {
  switch (type) {
    case 'relay.subscriber.failing':
      return `${data.name} is failing${since(data.since)}: its deliveries are held, probes go on. (${data.subscriberId})`;
    case 'relay.subscriber.paused':
      return `${data.name} is paused${since(data.since)} (${data.reasons.join(', ')}): its deliveries are held until \`relay subscribers resume ${data.subscriberId}\`.`;
    case 'relay.subscriber.recovered':
      return `${data.name} has recovered: what was held is sent. (${data.subscriberId})`;
    case 'relay.delivery.failed':
      return `${data.count} ${data.count === 1 ? 'delivery' : 'deliveries'} to ${data.name} failed for good (${data.lastOutcome}); \`relay replay --failed --subscriber ${data.subscriberId}\` sends again. ${data.deliveryIds.join(', ')}`;
    case 'relay.clinic.needs_reconnect':
      return `${data.name} has to be authorized again (${data.reason})${data.hasSpare ? '; another connection reads the clinic meanwhile' : `: nothing of it is read${forDays(data.daysLeft)}`}. (${data.connectionId})`;
    case 'relay.stream.behind':
      return `${data.name} is behind: ${data.categories.join(', ')} not read ${data.readAt === null ? 'yet' : `since ${data.readAt}`}. Fullscript lists what is missing for ${data.daysLeft} more days. (${data.clinicId})`;
    case 'relay.stream.gap':
      return `${data.category} of ${data.name} from ${data.from} to ${data.until} were not read in time, and Fullscript lists them no more. (${data.clinicId})`;
    case 'relay.stream.late':
      return `Fullscript listed ${data.category} of ${data.name} up to ${data.lateHours} h late, and each poll looks back ${data.overlapDays} days: raise source.overlapDays if this goes on. (${data.clinicId})`;
    case 'relay.audit.missing':
      return `An audit found ${data.missing} ${data.missing === 1 ? 'event' : 'events'} missing in the log, and ${data.repaired} were taken in. (${data.auditId})`;
    case 'relay.test':
      return 'A test: operational events of the relay arrive here.';
  }
}

function forDays(daysLeft: number | null): string {
  return daysLeft === null ? '' : `, and Fullscript lists what is missing for ${daysLeft} more days`;
}

function since(at: string | null): string {
  return at === null ? '' : ` since ${at}`;
}
