import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { createApp } from './api/app.ts';
import type { SigningKeys } from './api/auth.ts';
import { startServer } from './api/server.ts';
import { type Clock, systemClock } from './clock.ts';
import { type Config, type Keys, readStartFrom } from './config.ts';
import type { AddressGuard } from './delivery/address-guard.ts';
import { declareSubscribers, warnOfFilters } from './delivery/declared-subscribers.ts';
import { createDeliver } from './delivery/deliver.ts';
import { Dispatcher } from './delivery/dispatcher.ts';
import { createDoctor, type Examination, type Patient } from './delivery/doctor.ts';
import { createGuardedAgents } from './delivery/guarded-agents.ts';
import { createGuards, type Guards, refusedOf } from './delivery/guards.ts';
import { createHandshake } from './delivery/handshake.ts';
import { examineOnLoopback } from './delivery/loopback-doctor.ts';
import { OwedHandshakes } from './delivery/owed-handshakes.ts';
import type { Listening } from './delivery/own-address.ts';
import { Replayer } from './delivery/replayer.ts';
import { createSendTest } from './delivery/send-test.ts';
import { createWebhookSender } from './delivery/webhook-sender.ts';
import { InvalidInput, RelayError, StoreBroken } from './domain/errors.ts';
import type { Logger } from './logger.ts';
import { Fullscript } from './sandbox/fullscript.ts';
import { Auditor } from './source/auditor.ts';
import { RequestBudget } from './source/budget.ts';
import { ClinicAccess } from './source/clinic-access.ts';
import { declareClinics } from './source/declared-clinics.ts';
import { createEventsApi } from './source/events-api.ts';
import { createOAuth, withinBudget } from './source/oauth.ts';
import { Poller } from './source/poller.ts';
import { fairSchedule } from './source/schedule.ts';
import { ConnectionTokens } from './source/tokens.ts';
import { createVendorHttp } from './source/vendor-http.ts';
import { realDisk } from './store/file/disk.ts';
import { type FileStore, openFileStore } from './store/file/file-store.ts';
import { kernelLock } from './store/file/lock.ts';
import type { Store } from './store/store.ts';

export interface RelayOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** In [0, 1). */
  readonly random?: () => number;
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

/** The poller looks for work every 30 s at least. */
const pollsFrozenMs = 5 * 60_000;

/** Puts the rooms together: the only place that knows which store, which sender and which clock. */
export async function startRelay({
  config,
  logger,
  clock = systemClock(),
  random = Math.random,
}: RelayOptions): Promise<RunningRelay> {
  const failure = failures(logger);
  const listening: Listening[] = [config.server];
  const guards = createGuards({ ...config.delivery, listening: () => listening }, config);
  vetDeclared(config, guards);
  const store = await openStore(config, { clock, random, logger, onFatal: failure.report });
  try {
    const delivering = wayOut(config, guards.subscribers, {
      store,
      clock,
      random,
      logger,
      onFatal: failure.report,
    });
    const polling = wayIn(config, {
      store,
      clock,
      random,
      logger,
      onFatal: failure.report,
      tokenUrlGuard: guards.tokenUrls,
      onRecorded: () => delivering.dispatcher.wake(),
    });
    await declareSubscribers(config.subscribers, { store, clock, logger });
    warnOfFilters(config.subscribers, [...config.clinics, ...(await store.clinics())], logger);
    await declareClinics(store, config.clinics, { clock, logger });
    const app = createApp({
      store,
      clock,
      logger,
      keys: signingKeys(config.keys),
      version: packageJson.version,
      trustProxy: config.server.trustProxy,
      vetUrl: guards.subscribers.vetUrl,
      vetTokenUrl: guards.tokenUrls.vetUrl,
      shakeHands: delivering.shakeHands,
      sendTest: delivering.sendTest,
      examine: delivering.examine,
      replayer: delivering.replayer,
      auditor: polling.auditor,
      revokeTokens: polling.oauth.revoke,
      connectionChanged: (connectionId) => polling.poller.forget(connectionId),
      wakeDispatcher: () => delivering.dispatcher.wake(),
      wakePoller: () => polling.poller.wake(),
      arePollsMoving: () => polling.poller.idleMs < pollsFrozenMs,
    });
    const server = await startServer(app, { host: config.server.host, port: config.server.port, clock });
    listening.push(server.listening);
    delivering.dispatcher.start();
    delivering.handshakes.start();
    await delivering.replayer.resume();
    polling.poller.start();
    await polling.auditor.start();
    return {
      url: server.url,
      store,
      failed: failure.happened,
      async stop() {
        await server.close();
        await Promise.all([
          polling.auditor.stop(),
          polling.poller.stop(stopGraceMs),
          delivering.handshakes.stop(),
          delivering.replayer.stop(),
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

interface Shared {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly onFatal: (error: unknown) => void;
}

async function openStore(config: Config, shared: Omit<Shared, 'store'>): Promise<FileStore> {
  const { clock, random, logger, onFatal } = shared;
  const store = await openFileStore({
    path: resolve(config.store.path),
    masterKeys: { current: config.keys.masterKey, previous: config.keys.previousMasterKey },
    disk: realDisk,
    lock: kernelLock,
    clock,
    random,
    onTrouble: (trouble) => {
      if (trouble === null) logger.info('The delivery log takes writes again.');
      // A store that is closed while its disk is full says so; nobody has to act on it.
      else if (trouble.code === 'store_closed') logger.warn(trouble.message);
      else if (trouble instanceof StoreBroken) onFatal(trouble);
      else logger.error(trouble.message, { code: trouble.code, hint: trouble.hint });
    },
  });
  const { cut, events, deliveries, interrupted, isResealed } = store.recovery;
  logger.info('The delivery log is open.', { path: config.store.path, events, deliveries, interrupted });
  if (isResealed) {
    logger.info(
      'The data keys are sealed by the new RELAY_MASTER_KEY: RELAY_MASTER_KEY_PREVIOUS is not needed any more.',
    );
  }
  await tellOfRestoration(store, logger);
  if (cut)
    logger.warn('A torn tail was cut off the journal and kept aside: nothing acknowledged was in it.', cut);
  return store;
}

async function tellOfRestoration(store: Store, logger: Logger): Promise<void> {
  const restoration = await store.restoration();
  if (restoration === null) return;
  const { takenAt, restoredAt, ...counts } = restoration;
  logger.warn(
    'The delivery log came out of a backup: until they are resumed, subscribers get nothing and clinics are not read. First make sure that the relay of which the backup was taken does not run.',
    { takenAt: new Date(takenAt).toISOString(), restoredAt: new Date(restoredAt).toISOString(), ...counts },
  );
}

/** @throws InvalidInput */
function vetDeclared(config: Config, guards: Guards): void {
  const problems = refusedOf(config, guards);
  if (problems.length === 0) return;
  const lines = problems.map(({ path, message }) => `  ${path}: ${message}`);
  throw new InvalidInput('config_invalid', `The configuration has mistakes:\n${lines.join('\n')}`, {
    hint: 'Correct what is named, then try again; `relay check` looks without starting.',
    problems,
  });
}

function wayOut(config: Config, guard: AddressGuard, { store, clock, random, logger, onFatal }: Shared) {
  const { timeoutMs, concurrency, concurrencyPerSubscriber } = config.delivery;
  const sender = createWebhookSender({ guard, clock });
  const { post } = sender;
  const deliver = createDeliver({ store, post, clock, random, logger, userAgent, timeoutMs });
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
  const shakeHands = createHandshake({ post, clock, logger, userAgent });
  const wake = () => dispatcher.wake();
  const handshakes = new OwedHandshakes({ store, shakeHands, clock, logger, onPassed: wake, onFatal });
  const sampleEvent = inventor(clock, random);
  const sendTest = createSendTest({ post, clock, userAgent, timeoutMs, sampleEvent });
  const examine = createDoctor({ post, shakeHands, clock, logger, userAgent, timeoutMs, sampleEvent });
  const replayer = new Replayer({ store, clock, logger, onStarted: wake, onFatal });
  return { sender, shakeHands, sendTest, examine, dispatcher, handshakes, replayer };
}

interface WayInShared extends Shared {
  readonly tokenUrlGuard: AddressGuard;
  readonly onRecorded: () => void;
}

function wayIn(config: Config, shared: WayInShared) {
  const { store, clock, random, logger, onFatal, onRecorded, tokenUrlGuard } = shared;
  const { source } = config;
  const http = createVendorHttp({ userAgent, clock });
  const budget = new RequestBudget({ ...source, store, clock, random, logger });
  const agents = createGuardedAgents(tokenUrlGuard, { keepAlive: false });
  const oauth = createOAuth(http, source, clock, createVendorHttp({ userAgent, clock, agents }));
  const tokens = new ConnectionTokens({ store, oauth: withinBudget(oauth, budget), clock, logger });
  const api = createEventsApi(http, source.apiUrl, clock);
  const access = new ClinicAccess({ store, api, tokens, budget });
  const poller = new Poller({
    store,
    access,
    tokens,
    schedule: fairSchedule({ ...source, random }),
    clock,
    logger,
    categories: source.categories,
    overlapDays: source.overlapDays,
    sweepHours: source.sweepHours,
    startAt: startAtOf(source.startFrom),
    stopRequests: () => budget.stop(),
    onRecorded,
    onFatal,
  });
  const auditor = new Auditor({
    store,
    access,
    list: access.listSparingly,
    pollAgain: (stream, how) => poller.pollAgain(stream, how),
    categories: source.categories,
    clock,
    random,
    logger,
    onFatal,
  });
  return { poller, auditor, oauth };
}

function startAtOf(startFrom: string): (vendorNow: number) => number {
  const start = readStartFrom(startFrom);
  if (start === null) throw new Error(`checked before: ${startFrom}`);
  return (vendorNow) => ('at' in start ? start.at : vendorNow - start.agoMs);
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

/** As long as a relay waits that is not told otherwise. */
const hereTimeoutMs = 15_000;

function signingKeys({ jwtSecret, jwtKeyPair }: Keys): SigningKeys {
  if (jwtKeyPair !== null) return { kind: 'keyPair', ...jwtKeyPair };
  return { kind: 'secret', secret: jwtSecret ?? '' };
}

/** The first thing that ends the relay, told once. */
function failures(logger: Logger) {
  let report = (_error: unknown): void => {};
  const happened = new Promise<never>((_, reject) => {
    report = (error) => {
      const { code, hint } =
        error instanceof RelayError ? error : { code: 'fault', hint: 'Please report this; the log is safe.' };
      logger.error(error instanceof Error ? error.message : 'The relay has a fault.', { code, hint });
      reject(error);
    };
  });
  // Whoever waits for it hears of it; nobody has to.
  happened.catch(() => {});
  return { happened, report: (error: unknown) => report(error) };
}

const packageJson = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
const userAgent = `fullscript-relay/${packageJson.version}`;
