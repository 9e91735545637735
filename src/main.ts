import { createApp } from './api/app.ts';
import type { SigningKeys } from './api/auth.ts';
import { startServer } from './api/server.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Config, Keys } from './config.ts';
import type { AddressGuard } from './delivery/address-guard.ts';
import { Backfiller } from './delivery/backfiller.ts';
import { declareSubscribers, warnOfFilters } from './delivery/declared-subscribers.ts';
import { createDeliver } from './delivery/deliver.ts';
import { Dispatcher } from './delivery/dispatcher.ts';
import { createDoctor, type Examination, type Patient } from './delivery/doctor.ts';
import { Eraser } from './delivery/eraser.ts';
import type { FetchEvent } from './delivery/fetched-rounds.ts';
import { type Forwarding, startForwarding } from './delivery/forward.ts';
import { createGuards } from './delivery/guards.ts';
import { createHandshake } from './delivery/handshake.ts';
import { examineOnLoopback } from './delivery/loopback-doctor.ts';
import { OwedHandshakes } from './delivery/owed-handshakes.ts';
import type { Listening } from './delivery/own-address.ts';
import { Replayer } from './delivery/replayer.ts';
import { createSendTest } from './delivery/send-test.ts';
import { createTokenKeyOf } from './delivery/token-key-of.ts';
import { createWebhookSender } from './delivery/webhook-sender.ts';
import type { Subscriber } from './domain/subscriber.ts';
import type { Logger } from './logger.ts';
import { openStore } from './main/open-store.ts';
import { toOperator } from './main/operator.ts';
import { failures, type Shared, userAgent, version } from './main/shared.ts';
import { vetDeclared } from './main/vet-declared.ts';
import { wayIn } from './main/way-in.ts';
import { Fullscript } from './sandbox/fullscript.ts';
import { declareClinics } from './source/declared-clinics.ts';
import { type Disk, realDisk } from './store/file/disk.ts';
import type { AfterAttempt, Store } from './store/store.ts';

export interface RelayOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** In [0, 1). */
  readonly random?: () => number;
  /** What the file store lies on. */
  readonly disk?: Disk;
}

export interface RunningRelay {
  /** Where its API answers. */
  readonly url: string;
  readonly store: Store;
  /** Polls and claims nothing more, lets what is under way end, and releases the store. */
  stop(): Promise<void>;
  /** Rejects when the relay cannot go on; the process has to end, and the next start recovers. */
  readonly failed: Promise<never>;
}

/** A deploy's grace is often 30 s; what is not done by then is interrupted and made again. */
const stopGraceMs = 20_000;

const inShadow =
  'SHADOW MODE (source.shadow): events are read and recorded, and nothing is sent. What is recorded now is sent later by a backfill only.';

/** The poller looks for work every 30 s at least. */
const pollsFrozenMs = 5 * 60_000;

/** Puts the rooms together: the only place that knows which store, which sender and which clock. */
export async function startRelay({
  config,
  logger,
  clock = systemClock(),
  random = Math.random,
  disk = realDisk,
}: RelayOptions): Promise<RunningRelay> {
  const failure = failures(logger);
  const listening: Listening[] = [config.server];
  const guards = createGuards({ ...config.delivery, listening: () => listening }, config);
  vetDeclared(config, guards);
  const store = await openStore(config, { clock, random, disk, logger, onFatal: failure.report });
  try {
    const shared = { store, clock, random, logger, onFatal: failure.report };
    const polling = wayIn(config, {
      ...shared,
      tokenUrlGuard: guards.tokenUrls,
      onRecorded: () => delivering.dispatcher.wake(),
    });
    const operator = toOperator(config, guards.operationalEvents, shared);
    const delivering = wayOut(config, guards.subscribers, {
      ...shared,
      fetchEvent: polling.fetchEvent,
      onFailed: (after) => operator.failed?.add(after),
    });
    await declareSubscribers(config.subscribers, { store, clock, logger });
    warnOfFilters(config.subscribers, [...config.clinics, ...(await store.clinics())], logger);
    await declareClinics(store, config.clinics, { clock, logger });
    const closing = new AbortController();
    const app = createApp({
      store,
      clock,
      logger,
      keys: signingKeys(config.keys),
      version,
      trustProxy: config.server.trustProxy,
      vetUrl: guards.subscribers.vetUrl,
      vetTokenUrl: guards.tokenUrls.vetUrl,
      shakeHands: delivering.shakeHands,
      sendTest: delivering.sendTest,
      examine: delivering.examine,
      replayer: delivering.replayer,
      backfiller: delivering.backfiller,
      auditor: polling.auditor,
      connecting: polling.connecting,
      eraser: delivering.eraser,
      tryOperator: async (event) => operator.messenger?.try(event) ?? null,
      countStart: polling.countStart,
      revokeTokens: (owed) => polling.revocations.revoke(owed),
      connectionChanged: (connectionId) => polling.poller.forget(connectionId),
      wakeDispatcher: () => delivering.dispatcher.wake(),
      ingest: polling.ingest,
      wakePoller: () => polling.poller.wake(),
      isShadow: config.source.shadow,
      categories: config.source.categories,
      arePollsMoving: () => polling.poller.idleMs < pollsFrozenMs,
      shortfall: () => polling.poller.shortfall,
      standstill: polling.standstill,
      connectionUse: delivering.sender.connectionUse,
      closing: closing.signal,
    });
    const server = await startServer(app, { host: config.server.host, port: config.server.port, clock });
    listening.push(server.listening);
    if (config.source.shadow) logger.warn(inShadow);
    else {
      delivering.dispatcher.start();
      delivering.handshakes.start();
    }
    await delivering.replayer.resume();
    await delivering.backfiller.resume();
    await delivering.eraser.start();
    polling.poller.start();
    await polling.revocations.start();
    await polling.auditor.start();
    operator.watch.start();
    return {
      url: server.url,
      store,
      failed: failure.happened,
      async stop() {
        closing.abort();
        polling.revocations.stop();
        await server.close();
        await Promise.all([
          operator.stop(),
          polling.auditor.stop(),
          polling.poller.stop(stopGraceMs),
          delivering.handshakes.stop(),
          delivering.replayer.stop(),
          delivering.backfiller.stop(),
          delivering.eraser.stop(),
          delivering.dispatcher.stop(stopGraceMs),
        ]);
        delivering.sender.close();
        await store.close();
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

interface WayOutShared extends Shared {
  readonly fetchEvent: FetchEvent;
  readonly onFailed: (after: AfterAttempt) => void;
}

/** Puts together what sends to subscribers. */
function wayOut(config: Config, guard: AddressGuard, shared: WayOutShared) {
  const { store, clock, random, logger, onFatal, fetchEvent, onFailed } = shared;
  const { timeoutMs, concurrency, concurrencyPerSubscriber, proxy } = config.delivery;
  const sender = createWebhookSender({ guard, clock, proxy });
  const { post } = sender;
  const tokenKeyOf = createTokenKeyOf(store, clock);
  const deliver = createDeliver({
    store,
    post,
    clock,
    random,
    logger,
    userAgent,
    tokenKeyOf,
    timeoutMs,
    onFailed,
  });
  const dispatcher = new Dispatcher({
    store,
    deliver,
    clock,
    logger,
    onFatal,
    concurrency,
    concurrencyPerSubscriber,
    timeoutMs,
  });
  const shakeHands = createHandshake({ post, clock, logger, userAgent, tokenKeyOf });
  const wake = () => dispatcher.wake();
  const handshakes = new OwedHandshakes({ store, shakeHands, clock, logger, onPassed: wake, onFatal });
  const sampleEvent = inventor(clock, random);
  const sendTest = createSendTest({ post, clock, userAgent, tokenKeyOf, timeoutMs, sampleEvent });
  const examine = createDoctor({
    post,
    shakeHands,
    clock,
    logger,
    userAgent,
    tokenKeyOf,
    timeoutMs,
    sampleEvent,
  });
  const replayer = new Replayer({ store, fetchEvent, clock, logger, onStarted: wake, onFatal });
  const { deliveriesDays, idsDays } = config.retention;
  const deliveriesKeptMs = Math.max(deliveriesDays, idsDays) * 86_400_000;
  const backfiller = new Backfiller({
    store,
    fetchEvent,
    deliveriesKeptMs,
    clock,
    logger,
    onOwed: wake,
    onFatal,
  });
  const eraser = new Eraser({ store, clock, logger, onFatal });
  return { sender, shakeHands, sendTest, examine, dispatcher, handshakes, replayer, backfiller, eraser };
}

/** Sample events come from the sandbox: they look as the vendor's do, odd spellings included. */
function inventor(
  clock: Clock,
  random: () => number,
): (eventType: string | null, createdAt?: number) => string {
  const clinic = 'Sample clinic';
  return (type, createdAt) => {
    const seed = Math.floor(random() * 2 ** 32);
    const vendor = new Fullscript({ clock, seed, clinics: [clinic] });
    const asked = { ...(type !== null && { type }), ...(createdAt !== undefined && { createdAt }) };
    return vendor.addEvent({ clinic, ...asked }).text;
  };
}

/** Examines a receiver on this machine; no relay has to run, and none is asked. */
export function examineHere(patient: Patient, clock: Clock, random = Math.random): Promise<Examination> {
  const sampleEvent = inventor(clock, random);
  return examineOnLoopback({ clock, userAgent, timeoutMs: hereTimeoutMs, sampleEvent }, patient);
}

/** Sends to a receiver of the developer who runs this; no relay has to run. */
export function forwardTo(subscriber: Subscriber, clock: Clock): Forwarding {
  return startForwarding(subscriber, { clock, userAgent, timeoutMs: hereTimeoutMs });
}

/** As long as a relay waits that is not told otherwise. */
const hereTimeoutMs = 15_000;

function signingKeys({ jwtSecret, jwtKeyPair }: Keys): SigningKeys {
  if (jwtKeyPair !== null) return { kind: 'keyPair', ...jwtKeyPair };
  return { kind: 'secret', secret: jwtSecret ?? '' };
}
