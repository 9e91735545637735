import type { Config } from '../config.ts';
import type { AddressGuard } from '../delivery/address-guard.ts';
import { createGuardedAgents } from '../delivery/guarded-agents.ts';
import { startOf } from '../domain/start-from.ts';
import { Auditor } from '../source/auditor.ts';
import { RequestBudget } from '../source/budget.ts';
import { ClinicAccess } from '../source/clinic-access.ts';
import { Connecting } from '../source/connect.ts';
import { createEventsApi } from '../source/events-api.ts';
import { createFetchEvent } from '../source/fetch-event.ts';
import { createIngest } from '../source/ingest.ts';
import { createOAuth, withinBudget } from '../source/oauth.ts';
import { Poller } from '../source/poller.ts';
import { Revocations } from '../source/revocations.ts';
import { freshSchedule } from '../source/schedule.ts';
import { createStartCount } from '../source/start-count.ts';
import { ConnectionTokens } from '../source/tokens.ts';
import { createVendorHttp } from '../source/vendor-http.ts';
import { type Shared, userAgent } from './shared.ts';

interface WayInShared extends Shared {
  readonly tokenUrlGuard: AddressGuard;
  readonly onRecorded: () => void;
}

/** Puts together what reads the vendor. */
export function wayIn(config: Config, shared: WayInShared) {
  const { store, clock, random, logger, onFatal, onRecorded, tokenUrlGuard } = shared;
  const { source } = config;
  const http = createVendorHttp({ userAgent, clock });
  const budget = new RequestBudget({ ...source, store, clock, random, logger });
  const agents = createGuardedAgents({ guard: tokenUrlGuard, clock, keepAlive: false });
  const oauth = createOAuth(http, source, clock, createVendorHttp({ userAgent, clock, agents }));
  const budgeted = withinBudget(oauth, budget);
  const tokens = new ConnectionTokens({ store, oauth: budgeted, clock, logger });
  const api = createEventsApi(http, source.apiUrl, clock, source.lists);
  const access = new ClinicAccess({ store, api, tokens, budget });
  const poller = new Poller({
    store,
    access,
    tokens,
    schedule: freshSchedule(source),
    clock,
    logger,
    categories: source.categories,
    overlapDays: source.overlapDays,
    sweepHours: source.sweepHours,
    isShadow: source.shadow,
    startAt: (vendorNow) => startOf(source.startFrom, vendorNow),
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
  const revocations = new Revocations({ store, oauth: budgeted, clock, logger, onFatal });
  const connecting = new Connecting({
    store,
    oauth: budgeted,
    revocations,
    app: source,
    masterKey: config.keys.masterKey,
    clock,
    logger,
    connectionChanged: (connectionId) => poller.forget(connectionId),
    wakePoller: () => poller.wake(),
  });
  const { categories, startFrom } = source;
  const countStart = createStartCount({ api, oauth, budget, clock, categories, startFrom });
  return {
    poller,
    auditor,
    connecting,
    revocations,
    access,
    countStart,
    standstill: () => budget.standstill,
    fetchEvent: createFetchEvent({ store, access }),
    ingest: ingestOf(config, shared),
  };
}

/** `null` when Fullscript's own webhooks are not taken. */
function ingestOf({ source: { webhooks, shadow } }: Config, shared: WayInShared) {
  if (webhooks === undefined) return null;
  const { secret, challengeToken = null } = webhooks;
  return { ingest: createIngest({ ...shared, secret, isShadow: shadow }), challengeToken };
}
