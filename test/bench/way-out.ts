import { systemClock } from '../../src/clock.ts';
import { createAddressGuard } from '../../src/delivery/address-guard.ts';
import { createDeliver } from '../../src/delivery/deliver.ts';
import { Dispatcher } from '../../src/delivery/dispatcher.ts';
import type { Post } from '../../src/delivery/post.ts';
import { createWebhookSender } from '../../src/delivery/webhook-sender.ts';
import { silentLogger } from '../../src/logger.ts';
import { realDisk } from '../../src/store/file/disk.ts';
import { openFileStore } from '../../src/store/file/file-store.ts';
import type { DeliveryClaim } from '../../src/store/store.ts';
import { anEvent, aSubscriber, furnished, pollOf } from '../store/fixtures.ts';

export const userAgent = 'fullscript-relay/bench';
export const clock = systemClock();

/** About as long as an order. */
export const bodyOf = (id: string): string =>
  `{"id":"${id}","type":"order.placed","created_at":"2026-11-22T12:00:00Z","clinic_id":"clinic-1","data":{"note":"${'n'.repeat(800)}"}}`;

/** The relay's own sender; loopback is allowed. */
export function benchSender() {
  const guard = createAddressGuard({ allow: [], allowPrivateAddresses: true, allowHttp: true });
  return createWebhookSender({ guard, clock });
}

export interface WayOutOptions {
  /** An empty folder on a real disk. */
  readonly path: string;
  /** One subscriber for each. */
  readonly urls: Readonly<Record<string, string>>;
  readonly post: Post;
  readonly concurrency: number;
  readonly concurrencyPerSubscriber: number;
  readonly timeoutMs: number;
  /** An attempt of the event was answered and is on record. */
  readonly onRecorded: (claim: DeliveryClaim) => void;
}

/** The relay's way out as it stands: file store with every record synced, dispatcher, deliver. */
export async function openWayOut(options: WayOutOptions) {
  const store = await openFileStore({
    path: options.path,
    masterKeys: { current: Buffer.alloc(32, 7), previous: null },
    disk: realDisk,
    lock: () => () => {},
    clock,
    random: Math.random,
    onTrouble: (trouble) => {
      throw trouble;
    },
  });
  const subscribers = Object.entries(options.urls).map(([id, url]) => aSubscriber(id, { url }));
  const [first, ...others] = subscribers;
  await furnished(store, first);
  for (const subscriber of others) await store.addSubscriber(subscriber);
  const poll = await pollOf(store);
  const { version } = await store.subscribers();

  const { post, timeoutMs, onRecorded } = options;
  const attempt = createDeliver({
    store,
    post,
    clock,
    random: Math.random,
    logger: silentLogger,
    userAgent,
    timeoutMs,
  });
  const dispatcher = new Dispatcher({
    ...options,
    store,
    clock,
    logger: silentLogger,
    deliver: async (claim, signal) => {
      const attempted = await attempt(claim, signal);
      return {
        record: async () => {
          const recorded = await attempted.record();
          onRecorded(claim);
          return recorded;
        },
      };
    },
    onFatal: (error) => {
      throw error;
    },
  });
  dispatcher.start();

  return {
    /** Durable when it resolves; nothing is sent before `send`. */
    async record(events: readonly { readonly id: string; readonly subscriberIds: readonly string[] }[]) {
      const rows = events.map(({ id, subscriberIds }) => anEvent(id, { body: bodyOf(id), subscriberIds }));
      await store.recordEvents(poll, { events: rows, subscribersVersion: version });
    },
    send: () => dispatcher.wake(),
    async close() {
      await dispatcher.stop(0);
      await store.close();
    },
  };
}
