import { createHmac } from 'node:crypto';
import type { StoredEvent } from '../../src/sandbox/event-log.ts';
import type { ReceivedRequest } from '../world/subscriber.ts';

export interface Receipt {
  readonly eventId: string;
  readonly eventText: string;
  readonly deliveryId: string;
  readonly attempt: number;
  readonly sequence: number;
  readonly isAccepted: boolean;
}

/** What one subscriber saw, kept outside of the relay. */
export class Ledger {
  readonly name: string;
  readonly receipts: Receipt[] = [];
  /** Events made before it are not owed to it; the earliest moment at which it was known to be registered. */
  #since: number;
  #refusedLast = false;
  #refusals = 0;
  /** Those that its requests may be signed with; `null`: they are not looked at. */
  #secrets: readonly string[] | null;
  #rotatedTo: string | null = null;
  /** What came unsigned, or signed by nobody it knows. */
  readonly forged: string[] = [];
  /** Takes nothing at all while it is so. */
  isClosed = false;

  constructor(name: string, since: number, secret: string | null = null) {
    this.name = name;
    this.#since = since;
    this.#secrets = secret === null ? null : [secret];
  }

  /** A rotation was asked for: from now on either may be the one, until it is told which. */
  offered(secret: string): void {
    this.#secrets = [...(this.#secrets ?? []), secret];
  }

  /** The rotation was told to be done. */
  rotatedTo(secret: string): void {
    this.#rotatedTo = secret;
  }

  /** Nothing is under way that was signed before. */
  settle(): void {
    if (this.#rotatedTo !== null) this.#secrets = [this.#rotatedTo];
    this.#rotatedTo = null;
  }

  /** Refuses now and then, never twice in a row: an outage is not what is tried here. */
  answer(request: ReceivedRequest): { status: number; body: string } {
    const eventText = request.body.toString();
    const { id } = JSON.parse(eventText) as { id: string };
    this.#refusals += 1;
    const isAccepted = !this.isClosed && (this.#refusedLast || this.#refusals % 5 !== 0);
    if (this.#secrets?.every((secret) => !isSignedBy(secret, request))) this.forged.push(`${id}: not signed`);
    this.#refusedLast = !isAccepted;
    this.receipts.push({
      eventId: id,
      eventText,
      deliveryId: String(request.headers['relay-delivery-id']),
      attempt: Number(request.headers['relay-attempt']),
      sequence: Number(request.headers['relay-sequence']),
      isAccepted,
    });
    // What it says is kept as the excerpt of an answer.
    return isAccepted ? { status: 200, body: '' } : { status: 503, body: 'not at the moment' };
  }

  get isOwed(): boolean {
    return Number.isFinite(this.#since);
  }

  owedSince(at: number): void {
    this.#since = Math.min(this.#since, at);
  }

  accepted(): ReadonlySet<string> {
    return new Set(this.receipts.filter(({ isAccepted }) => isAccepted).map(({ eventId }) => eventId));
  }

  /** What was made since it registered and has not been accepted. */
  missing(events: readonly StoredEvent[]): readonly string[] {
    const accepted = this.accepted();
    return events
      .filter(({ createdAt, id }) => createdAt > this.#since && !accepted.has(id))
      .map(({ id }) => id);
  }
}

function isSignedBy(secret: string, { headers, body }: ReceivedRequest): boolean {
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  const signature = `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
  return String(headers['webhook-signature']).split(' ').includes(signature);
}

/** What an outside observer can hold against the relay; empty when all is well. */
export interface Verdict {
  readonly lost: readonly string[];
  /** Enqueued twice, changed on the way, numbered twice, sent without need. */
  readonly wrong: readonly string[];
  /** Accepted again after a result that nobody knew: allowed, and counted. */
  readonly repeats: number;
}

/**
 * @param unknownOf how many attempts of a delivery ended without a known result, or were asked for by a replay.
 */
export async function judge(
  ledger: Ledger,
  events: readonly StoredEvent[],
  unknownOf: (deliveryId: string) => Promise<number>,
): Promise<Verdict> {
  const texts = new Map(events.map((event) => [event.id, event.text]));
  const wrong = ledger.forged.map((what) => `${ledger.name}, ${what}`);
  const deliveryOf = new Map<string, string>();
  const sequenceOf = new Map<string, number>();
  const lastAttempt = new Map<string, number>();
  const accepts = new Map<string, number>();
  for (const { eventId, eventText, deliveryId, attempt, sequence, isAccepted } of ledger.receipts) {
    const what = `${ledger.name}, ${eventId}, attempt ${attempt}`;
    if (eventText !== texts.get(eventId)) wrong.push(`${what}: other bytes`);
    if ((deliveryOf.get(eventId) ?? deliveryId) !== deliveryId) wrong.push(`${what}: a second delivery`);
    if ((sequenceOf.get(deliveryId) ?? sequence) !== sequence) wrong.push(`${what}: another sequence`);
    if (attempt <= (lastAttempt.get(deliveryId) ?? 0)) wrong.push(`${what}: numbered again`);
    deliveryOf.set(eventId, deliveryId);
    sequenceOf.set(deliveryId, sequence);
    lastAttempt.set(deliveryId, attempt);
    if (isAccepted) accepts.set(deliveryId, (accepts.get(deliveryId) ?? 0) + 1);
  }
  const numbers = [...sequenceOf.values()].sort((a, b) => a - b);
  const gap = numbers.findIndex((number, index) => number !== index + 1);
  if (gap !== -1) wrong.push(`${ledger.name}: sequence ${numbers[gap]} where ${gap + 1} belongs`);
  let repeats = 0;
  for (const [deliveryId, times] of accepts) {
    if (times === 1) continue;
    repeats += times - 1;
    const unknown = await unknownOf(deliveryId);
    if (times > 1 + unknown)
      wrong.push(`${ledger.name}, ${deliveryId}: accepted ${times} times, ${unknown} unknown`);
  }
  return { lost: ledger.missing(events), wrong, repeats };
}
