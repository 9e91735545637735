import type { Clock } from '../clock.ts';
import { outcomeLabel } from '../domain/attempt.ts';
import type { Delivery } from '../domain/delivery.ts';
import type { OperationalEvent } from '../domain/operational-event.ts';
import type { Subscriber } from '../domain/subscriber.ts';

/** A delivery whose round is used up, after its last attempt. */
export interface FailedDelivery {
  readonly delivery: Pick<Delivery, 'id' | 'lastOutcome'>;
  readonly subscriber: Pick<Subscriber, 'id' | 'name'>;
}

interface Gathered {
  readonly name: string;
  count: number;
  readonly deliveryIds: string[];
  lastOutcome: string;
}

const gatheredForMs = 60_000;
const namedMax = 10;

/** Gathers the deliveries of a minute whose round is used up: a thousand of them are one message for each subscriber. */
export class FailedDeliveries {
  readonly #clock: Clock;
  readonly #tell: (event: OperationalEvent) => void;
  readonly #bySubscriber = new Map<string, Gathered>();

  constructor(clock: Clock, tell: (event: OperationalEvent) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  add({ delivery, subscriber: { id, name } }: FailedDelivery): void {
    if (this.#bySubscriber.size === 0) this.#clock.after(gatheredForMs, () => this.tellAll());
    const gathered = this.#bySubscriber.get(id) ?? { name, count: 0, deliveryIds: [], lastOutcome: '' };
    gathered.count++;
    if (gathered.deliveryIds.length < namedMax) gathered.deliveryIds.push(delivery.id);
    gathered.lastOutcome = delivery.lastOutcome === null ? 'unknown' : outcomeLabel(delivery.lastOutcome);
    this.#bySubscriber.set(id, gathered);
  }

  tellAll(): void {
    for (const [subscriberId, gathered] of this.#bySubscriber) {
      this.#tell({ type: 'relay.delivery.failed', data: { subscriberId, ...gathered } });
    }
    this.#bySubscriber.clear();
  }
}
