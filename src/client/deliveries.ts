import { type CallApi, pathOf } from './relay-api.ts';
import type { DeliveryView, DeliveryWithAttempts, ExplanationView, PageView } from './views.ts';

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
