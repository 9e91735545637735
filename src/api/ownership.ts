import { NotFound } from '../domain/errors.ts';
import type { Subscriber } from '../domain/subscriber.ts';
import type { SubscriberStore } from '../store/store.ts';
import { type Caller, mayDo } from './auth.ts';

type Subscribers = Pick<SubscriberStore, 'subscribers'>;

/**
 * The subscribers that a caller may see, deleted ones too: an admin all of them, everybody
 * else what was registered under its own subject. What others own does not exist for it.
 */
export async function visibleSubscribers(store: Subscribers, caller: Caller): Promise<readonly Subscriber[]> {
  const { subscribers } = await store.subscribers();
  return mayDo(caller, 'admin')
    ? subscribers
    : subscribers.filter((subscriber) => subscriber.owner === caller.subject);
}

/** The ids to keep a list to; `null` is no limit. */
export async function visibleSubscriberIds(
  store: Subscribers,
  caller: Caller,
): Promise<readonly string[] | null> {
  if (mayDo(caller, 'admin')) return null;
  return (await visibleSubscribers(store, caller)).map(({ id }) => id);
}

/** @throws NotFound for an unknown, deleted or somebody else's one alike */
export async function subscriberFor(store: Subscribers, caller: Caller, id: string): Promise<Subscriber> {
  const subscribers = await visibleSubscribers(store, caller);
  const found = subscribers.find((subscriber) => subscriber.id === id && subscriber.deletedAt === null);
  if (found === undefined) throw new NotFound('subscriber', id);
  return found;
}
