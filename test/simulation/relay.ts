import type { Clock } from '../../src/clock.ts';
import { createDeliver } from '../../src/delivery/deliver.ts';
import { Dispatcher } from '../../src/delivery/dispatcher.ts';
import type { Post } from '../../src/delivery/post.ts';
import { Replayer } from '../../src/delivery/replayer.ts';
import type { ClinicInput } from '../../src/domain/clinic-input.ts';
import type { Logger } from '../../src/logger.ts';
import { RequestBudget } from '../../src/source/budget.ts';
import { ClinicAccess } from '../../src/source/clinic-access.ts';
import { declareClinics } from '../../src/source/declared-clinics.ts';
import { createEventsApi } from '../../src/source/events-api.ts';
import { createFetchEvent } from '../../src/source/fetch-event.ts';
import { createOAuth, withinBudget } from '../../src/source/oauth.ts';
import { Poller } from '../../src/source/poller.ts';
import { freshSchedule } from '../../src/source/schedule.ts';
import { ConnectionTokens } from '../../src/source/tokens.ts';
import type { VendorHttp } from '../../src/source/vendor-http.ts';
import type { Store } from '../../src/store/store.ts';
import { app } from './vendor.ts';

export const categories = ['orders', 'patients'] as const;

/** Requests to subscribers at once. */
export const concurrency = 8;

/** No request to a subscriber lasts longer. */
export const timeoutMs = 15_000;

export interface Rooms {
  readonly store: Store;
  readonly poller: Poller;
  readonly dispatcher: Dispatcher;
  readonly replayer: Replayer;
  stop(): Promise<void>;
}

export interface Surroundings {
  readonly store: Store;
  readonly post: Post;
  readonly http: VendorHttp;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly requestsPerFiveMinutes: number;
  readonly pollSecondsMin: number;
  readonly clinics: readonly ClinicInput[];
  readonly categories?: readonly string[];
  readonly onFatal: (error: unknown) => void;
}

/** The rooms put together as `src/main.ts` does, without its servers and real peers. */
export async function startRooms(around: Surroundings): Promise<Rooms> {
  const { store, post, http, clock, random, logger, onFatal } = around;
  const { requestsPerFiveMinutes, pollSecondsMin } = around;
  const deliver = createDeliver({ store, post, clock, random, logger, userAgent: 'simulated', timeoutMs });
  const dispatcher = new Dispatcher({
    store,
    deliver,
    clock,
    logger,
    onFatal,
    concurrency,
    concurrencyPerSubscriber: 3,
    timeoutMs,
  });
  const wake = () => dispatcher.wake();
  const budget = new RequestBudget({ store, clock, random, logger, requestsPerFiveMinutes });
  const oauth = createOAuth(http, app, clock, http);
  const tokens = new ConnectionTokens({
    store,
    oauth: withinBudget(oauth, budget),
    clock,
    logger,
  });
  const api = createEventsApi(http, app.apiUrl, clock);
  const access = new ClinicAccess({ store, api, tokens, budget });
  const fetchEvent = createFetchEvent({ store, access });
  const replayer = new Replayer({ store, fetchEvent, clock, logger, onStarted: wake, onFatal });
  const poller = new Poller({
    store,
    access,
    tokens,
    schedule: freshSchedule({
      requestsPerFiveMinutes,
      pollSecondsMin,
      pollSecondsMax: Math.max(900, 2 * pollSecondsMin),
      sweepHours: 24,
    }),
    clock,
    logger,
    categories: around.categories ?? categories,
    overlapDays: 2,
    isShadow: false,
    sweepHours: 24,
    startAt: (vendorNow) => vendorNow,
    stopRequests: () => budget.stop(),
    onRecorded: wake,
    onFatal,
  });
  await declareClinics(store, around.clinics, { clock, logger });
  dispatcher.start();
  await replayer.resume();
  poller.start();
  return {
    store,
    poller,
    dispatcher,
    replayer,
    async stop() {
      await Promise.all([poller.stop(20_000), replayer.stop(), dispatcher.stop(20_000)]);
    },
  };
}
