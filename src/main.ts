import { createApp } from './api/app.ts';
import type { SigningKeys } from './api/auth.ts';
import { startServer } from './api/server.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Config, Keys } from './config.ts';
import { declareSubscribers, warnOfFilters } from './delivery/declared-subscribers.ts';
import { createGuards } from './delivery/guards.ts';
import type { Listening } from './delivery/own-address.ts';
import type { Logger } from './logger.ts';
import { openStore } from './main/open-store.ts';
import { toOperator } from './main/operator.ts';
import { failures, version } from './main/shared.ts';
import { vetDeclared } from './main/vet-declared.ts';
import { wayIn } from './main/way-in.ts';
import { wayOut } from './main/way-out.ts';
import { declareClinics } from './source/declared-clinics.ts';
import { type Disk, realDisk } from './store/file/disk.ts';
import type { Store } from './store/store.ts';

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

function signingKeys({ jwtSecret, jwtKeyPair }: Keys): SigningKeys {
  if (jwtKeyPair !== null) return { kind: 'keyPair', ...jwtKeyPair };
  return { kind: 'secret', secret: jwtSecret ?? '' };
}
