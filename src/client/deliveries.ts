import type { PageView } from './pages.ts';
import { type CallApi, pathOf } from './relay-api.ts';

export type StateOfDelivery = 'pending' | 'held' | 'delivered' | 'failed' | 'cancelled';

export interface DeliveryView {
  readonly id: string;
  readonly state: StateOfDelivery;
  readonly subscriberId: string;
  readonly clinicId: string;
  readonly eventId: string;
  readonly eventType: string;
  readonly sequence: number;
  readonly round: number;
  /** How many attempts were made. */
  readonly attemptCount: number;
  readonly createdAt: string;
  readonly dueAt: string | null;
  readonly deliveredAt: string | null;
  readonly endReason: string | null;
  /** One word for what came of the last attempt; `null` before the first. */
  readonly lastOutcome: string | null;
}

export interface AttemptView {
  readonly number: number;
  readonly round: number;
  readonly startedAt: string;
  readonly durationMs: number;
  readonly outcome: string;
  /** The subscriber's breaker was open: a failure consumed no step of the schedule. */
  readonly isProbe: boolean;
  /** It came after its claim was lost and changed nothing. */
  readonly isLate: boolean;
  readonly excerpt: string | null;
}

export interface DeliveryWithAttempts extends DeliveryView {
  readonly attempts: readonly AttemptView[];
}

export interface ExplanationView {
  /** One word for programs. */
  readonly because: string;
  readonly explanation: string;
}

/** Instants are ISO 8601. */
export interface DeliveryQuery {
  readonly state?: string | undefined;
  readonly subscriberId?: string | undefined;
  readonly clinicId?: string | undefined;
  readonly eventType?: string | undefined;
  readonly eventId?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

/** One page, newest first. */
export async function listDeliveries(call: CallApi, query: DeliveryQuery): Promise<PageView<DeliveryView>> {
  return (await call({
    method: 'GET',
    path: '/v1/deliveries',
    query: { ...query },
  })) as PageView<DeliveryView>;
}

export async function showDelivery(call: CallApi, id: string): Promise<DeliveryWithAttempts> {
  return (await call({ method: 'GET', path: pathOf('v1', 'deliveries', id) })) as DeliveryWithAttempts;
}

/** Why a delivery is where it is, in one line. */
export async function explainDelivery(call: CallApi, id: string): Promise<ExplanationView> {
  const path = pathOf('v1', 'deliveries', id, 'explain');
  return (await call({ method: 'GET', path })) as ExplanationView;
}

/** Why an event has not come to a subscriber, in one line: also where there is no delivery at all. */
export async function explainEvent(
  call: CallApi,
  eventId: string,
  subscriberId: string,
): Promise<ExplanationView> {
  const path = pathOf('v1', 'events', eventId, 'explain');
  return (await call({ method: 'GET', path, query: { subscriberId } })) as ExplanationView;
}
