import { Fullscript } from '../../src/sandbox/fullscript.ts';
import { Auditor } from '../../src/source/auditor.ts';
import { RequestBudget } from '../../src/source/budget.ts';
import { ClinicAccess } from '../../src/source/clinic-access.ts';
import { declareClinics } from '../../src/source/declared-clinics.ts';
import { createEventsApi } from '../../src/source/events-api.ts';
import { createOAuth, withinBudget } from '../../src/source/oauth.ts';
import { Poller } from '../../src/source/poller.ts';
import { freshSchedule } from '../../src/source/schedule.ts';
import { ConnectionTokens } from '../../src/source/tokens.ts';
import type { VendorHttp } from '../../src/source/vendor-http.ts';
import type { Store } from '../../src/store/store.ts';
import { aSubscriber } from '../store/fixtures.ts';
import { type SimulatedClock, simulatedClock } from '../world/clock.ts';
import { SimulatedDisk, storeOn } from '../world/disk.ts';
import { keptLog } from '../world/log.ts';

export const noon = Date.parse('2026-11-22T12:00:00Z');
const app = {
  apiUrl: 'http://vendor/api',
  clientId: 'sandbox-client',
  clientSecret: 'sandbox-secret',
  redirectUri: 'http://127.0.0.1:8080/oauth/callback',
};

/** The vendor's model as the relay's way to it, without a socket. */
export function httpOf(fullscript: Fullscript): VendorHttp {
  return async ({ method, url, accessToken, json }) => {
    const reply = fullscript.answer({
      method,
      path: url.slice('http://vendor'.length),
      ...(accessToken !== undefined && { authorization: `Bearer ${accessToken}` }),
      ...(json && { contentType: 'application/json', body: JSON.stringify(json) }),
    });
    if (reply.drop !== undefined) return { kind: 'unreachable', detail: 'ECONNRESET' };
    const headers = Object.fromEntries(
      Object.entries(reply.headers).map(([name, value]) => [name.toLowerCase(), String(value)]),
    );
    return {
      kind: 'answered',
      status: reply.status,
      body: Buffer.from(reply.body, reply.encoding),
      vendorNow: Date.parse(headers.date ?? '') || null,
      retryAfter: headers['retry-after'],
    };
  };
}

export interface PollingRelay {
  readonly clock: SimulatedClock;
  readonly fullscript: Fullscript;
  readonly store: Store;
  readonly disk: SimulatedDisk;
  readonly poller: Poller;
  /** Not started: whoever wants its nights starts it. */
  readonly auditor: Auditor;
  readonly lines: ReturnType<typeof keptLog>['lines'];
  readonly fatal: unknown[];
  /** Starts the poller again on what the store holds, as a new process would. */
  restart(): Promise<void>;
}

export interface Changes {
  /** The moment at which it all begins; noon of a day in November when absent. */
  readonly startAtMs?: number;
  readonly startFromMs?: number;
  /** Of the clinics themselves, instead of the relay's own start. */
  readonly clinicStartFrom?: string;
  readonly isShadow?: boolean;
  readonly clinics?: readonly string[];
  /** Those of the clinics that stand in the configuration; all of them when absent. */
  readonly declared?: readonly string[];
  readonly categories?: readonly string[];
  readonly pollSecondsMin?: number;
  readonly requestsPerFiveMinutes?: number;
  readonly limit?: { requests: number; windowMs: number };
  readonly http?: (http: VendorHttp) => VendorHttp;
  readonly store?: (store: Store) => Store;
  /** A relay whose process is killed now: this one starts on what it left, with the same vendor. */
  readonly killed?: PollingRelay;
}

/** The real way in, from the store to the vendor's model: one subscriber that wants everything, clinics as declared. */
export async function pollingRelay(changes: Changes = {}): Promise<PollingRelay> {
  const { killed } = changes;
  const clock = killed?.clock ?? simulatedClock(changes.startAtMs ?? noon);
  const fullscript =
    killed?.fullscript ??
    new Fullscript({
      clock,
      seed: 7,
      clinics: changes.clinics ?? ['Washington'],
      ...(changes.limit && { limit: changes.limit }),
    });
  const disk = killed?.disk.kill() ?? new SimulatedDisk();
  const opened = await storeOn(disk, clock);
  const store = changes.store?.(opened) ?? opened;
  if (!killed) await store.addSubscriber(aSubscriber());
  const { logger, lines } = keptLog();
  const fatal: unknown[] = [];
  const random = () => 0;
  await declareClinics(
    store,
    fullscript.clinics
      .filter(({ name }) => changes.declared?.includes(name) ?? true)
      .map(({ name, slug }) => ({
        name,
        accessToken: `sandbox-access-${slug}`,
        refreshToken: `sandbox-refresh-${slug}`,
        ...(changes.clinicStartFrom !== undefined && { startFrom: changes.clinicStartFrom }),
      })),
    { clock, logger },
  );
  const build = (): { poller: Poller; auditor: Auditor } => {
    const wire = httpOf(fullscript);
    const http = changes.http?.(wire) ?? wire;
    const requestsPerFiveMinutes = changes.requestsPerFiveMinutes ?? 2_500;
    const budget = new RequestBudget({ store, clock, random, logger, requestsPerFiveMinutes });
    const oauth = withinBudget(createOAuth(http, app, clock, http), budget);
    const tokens = new ConnectionTokens({ store, oauth, clock, logger });
    const api = createEventsApi(http, app.apiUrl, clock);
    const pollSecondsMin = changes.pollSecondsMin ?? 30;
    const access = new ClinicAccess({ store, api, tokens, budget });
    const categories = changes.categories ?? ['orders', 'patients'];
    const onFatal = (error: unknown) => fatal.push(error);
    const poller = new Poller({
      store,
      tokens,
      clock,
      logger,
      access,
      schedule: freshSchedule({
        requestsPerFiveMinutes,
        pollSecondsMin,
        pollSecondsMax: 900,
        sweepHours: 24,
      }),
      categories,
      overlapDays: 2,
      sweepHours: 24,
      isShadow: changes.isShadow ?? false,
      startAt: (vendorNow) => vendorNow - (changes.startFromMs ?? 0),
      stopRequests: () => budget.stop(),
      onRecorded: () => {},
      onFatal,
    });
    const auditor = new Auditor({
      store,
      access,
      list: access.listSparingly,
      pollAgain: (stream, how) => poller.pollAgain(stream, how),
      categories,
      clock,
      random,
      logger,
      onFatal,
    });
    return { poller, auditor };
  };
  let relay = build();
  relay.poller.start();
  return {
    clock,
    fullscript,
    store,
    disk,
    lines,
    fatal,
    get poller() {
      return relay.poller;
    },
    get auditor() {
      return relay.auditor;
    },
    async restart() {
      const stopped = Promise.all([relay.poller.stop(1_000), relay.auditor.stop()]);
      await clock.advance(2_000);
      await stopped;
      relay = build();
      relay.poller.start();
    },
  };
}

/** Event ids that were recorded, oldest first, without those of the past. */
export async function recordedIds(store: Store): Promise<readonly string[]> {
  const { items } = await store.events({ state: 'recorded' }, { limit: 1_000, cursor: null });
  return items.map(({ id }) => id).reverse();
}
