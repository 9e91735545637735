import type { Clock } from '../clock.ts';
import { deliveryIdOf } from '../domain/delivery.ts';
import { type Subscriber, subscribersOf } from '../domain/subscriber.ts';
import type { ClinicStore, SubscriberStore } from '../store/store.ts';
import { type ListEvents, wordsOf } from './clinic-access.ts';
import type { ListItem } from './events-api.ts';
import { dayBeforeHistory } from './list-bounds.ts';
import { listPages } from './list-pages.ts';
import { unreadableItem } from './set-asides.ts';

/** What a rebuild would record, by the vendor's lists. */
export interface RebuildCount {
  readonly listed: number;
  /** Known and never sent. */
  readonly past: number;
  readonly enqueued: number;
  readonly deliveries: number;
  /** Items that could not be read as events of the clinic. */
  readonly unreadable: number;
  readonly unlisted: readonly {
    readonly clinicName: string;
    readonly category: string;
    readonly problem: string;
  }[];
}

export interface CountDependencies {
  readonly store: Pick<ClinicStore, 'clinics'> & Pick<SubscriberStore, 'subscribers'>;
  readonly list: ListEvents;
  readonly categories: readonly string[];
  readonly clock: Clock;
  /** Events created before this moment are of the past. */
  readonly startAt: number;
}

/** Lists everything and retrieves and records nothing. */
export async function countListed(dependencies: CountDependencies): Promise<RebuildCount> {
  const { store, list, categories, clock, startAt } = dependencies;
  const { subscribers } = await store.subscribers();
  const deliveries = new Set<string>();
  const sums = { listed: 0, past: 0, enqueued: 0, unreadable: 0 };
  const unlisted: RebuildCount['unlisted'][number][] = [];
  for (const clinic of await store.clinics()) {
    for (const category of categories) {
      const ids = new Set<string>();
      const problem = await eachPage(list, { clinicId: clinic.id, category }, startAt, clock, (items) => {
        for (const item of items) {
          if (item.id === null || unreadableItem(item, clinic.id)) sums.unreadable++;
          else if (!ids.has(item.id)) {
            ids.add(item.id);
            sums.listed++;
            if (item.createdAt === null || item.createdAt < startAt) sums.past++;
            else {
              sums.enqueued++;
              for (const id of owedTo({ ...item, id: item.id }, clinic, subscribers)) deliveries.add(id);
            }
          }
        }
      });
      if (problem !== null) unlisted.push({ clinicName: clinic.name, category, problem });
    }
  }
  return { ...sums, deliveries: deliveries.size, unlisted };
}

function owedTo(
  { id, type }: { readonly id: string; readonly type: string | null },
  clinic: { readonly id: string; readonly name: string },
  subscribers: readonly Subscriber[],
): readonly string[] {
  const event = { type: type ?? 'unknown', clinicId: clinic.id };
  return subscribersOf(event, subscribers, clinic).map((subscriberId) => deliveryIdOf(id, subscriberId));
}

/** @returns why the list could not be read to its end; `null` when it was. */
async function eachPage(
  list: ListEvents,
  of: { readonly clinicId: string; readonly category: string },
  startAt: number,
  clock: Clock,
  take: (items: readonly ListItem[]) => void,
): Promise<string | null> {
  const afterDay = dayBeforeHistory({ cursor: null, startAt }, clock.now());
  for await (const answer of listPages((page) => list({ ...of, afterDay, page }))) {
    if (answer.kind !== 'page') return wordsOf(answer);
    take(answer.items);
  }
  return null;
}
