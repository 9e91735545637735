import { onTestFinished } from 'vitest';
import type { RequestLimits } from '../../src/api/admission.ts';
import { createApp } from '../../src/api/app.ts';
import { type Scope, type SigningKeys, signToken } from '../../src/api/auth.ts';
import { startServer } from '../../src/api/server.ts';
import type { HandshakeVerdict } from '../../src/api/subscribers.ts';
import type { UrlVerdict } from '../../src/api/url-verdict.ts';
import { Backfiller } from '../../src/delivery/backfiller.ts';
import type { Examination } from '../../src/delivery/doctor.ts';
import { Eraser } from '../../src/delivery/eraser.ts';
import type { FetchEvent } from '../../src/delivery/fetched-rounds.ts';
import { Replayer } from '../../src/delivery/replayer.ts';
import type { Outcome } from '../../src/domain/attempt.ts';
import type { Subscriber } from '../../src/domain/subscriber.ts';
import type { Tried } from '../../src/operations/messenger.ts';
import { Auditor } from '../../src/source/auditor.ts';
import type { Standstill } from '../../src/source/budget.ts';
import type { ListPage } from '../../src/source/events-api.ts';
import { createIngest } from '../../src/source/ingest.ts';
import type { Shortfall } from '../../src/source/schedule.ts';
import type { Store } from '../../src/store/store.ts';
import { type SimulatedClock, simulatedClock } from '../world/clock.ts';
import { keptLog, type LogLine } from '../world/log.ts';
import { storeInFolder } from '../world/store.ts';

export const startedAt = Date.parse('2026-11-22T12:00:00Z');

const keys: SigningKeys = { kind: 'secret', secret: 'a secret of the tests that is long enough' };

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // Tests say themselves what they expect of it.
  // biome-ignore lint/suspicious/noExplicitAny: an answer may be anything
  readonly body: any;
}

export interface Ask {
  readonly body?: unknown;
  /** Default: a token of `ehr` with the scope `write`. `null` sends none. */
  readonly token?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The API over a real file store; what lies outside of both is played. */
export interface ApiUnderTest {
  readonly url: string;
  readonly store: Store;
  readonly clock: SimulatedClock;
  readonly logged: readonly LogLine[];
  readonly replayer: Replayer;
  readonly auditor: Auditor;
  /** What the API told the other rooms, in order. */
  readonly told: string[];
  /** Ends what streams, as a relay does that stops. */
  readonly closing: AbortController;
  /** What happens while the vendor is asked to revoke tokens, what it lists, and what it has of an event. */
  readonly vendor: {
    whileRevoking: () => Promise<void>;
    isRevoking: boolean;
    list: () => Promise<ListPage>;
    fetch: FetchEvent;
  };
  /** What the endpoints say to the empty request, to a test and to the doctor. */
  readonly endpoint: {
    handshake: HandshakeVerdict;
    test: Outcome;
    examination: Examination;
    isPolling: boolean;
    /** `null`: no URL for operational events is configured. */
    operator: Tried | null;
    shortfall: Shortfall | null;
    standstill: Standstill | null;
  };
  ask(method: string, path: string, ask?: Ask): Promise<Answered>;
}

export function tokenFor(subject: string, ...scopes: readonly Scope[]): string {
  return tokenMadeAt(startedAt, subject, ...scopes);
}

/** For tests in which more than an hour passes. */
export function tokenMadeAt(at: number, subject: string, ...scopes: readonly Scope[]): string {
  return signToken(keys, { subject, scopes, expiresInSeconds: 3_600 }, at).token;
}

export const admin = tokenFor('operator', 'admin');
export const ehr = tokenFor('ehr', 'write');
export const ehrReader = tokenFor('ehr', 'read');
export const stranger = tokenFor('stranger', 'write');

/** Fullscript's key for the webhooks that come in here. */
export const ingestSecret = 'the-signature-secret-key-of-the-dashboard';

export async function apiUnderTest(limits?: RequestLimits): Promise<ApiUnderTest> {
  const clock = simulatedClock(startedAt);
  const { store, discard } = await storeInFolder(clock);
  const { logger, lines } = keptLog();
  const told: string[] = [];
  const endpoint: ApiUnderTest['endpoint'] = {
    handshake: { kind: 'passed' },
    test: { kind: 'accepted', status: 200 },
    examination: { passed: true, findings: [] },
    isPolling: true,
    operator: { taken: true, answer: 204 },
    shortfall: null,
    standstill: null,
  };
  const vendor: ApiUnderTest['vendor'] = {
    whileRevoking: async () => {},
    isRevoking: true,
    list: async () => ({ kind: 'page', items: [], nextPage: null, vendorNow: null }),
    fetch: async () => ({ kind: 'gone', detail: 'status 404' }),
  };
  const tell = (what: string) => () => void told.push(what);
  const replayer = new Replayer({
    store,
    fetchEvent: (event, how) => vendor.fetch(event, how),
    clock,
    logger,
    onStarted: tell('dispatcher'),
    onFatal: tell('fatal'),
  });
  const backfiller = new Backfiller({
    store,
    fetchEvent: (event, how) => vendor.fetch(event, how),
    deliveriesKeptMs: 90 * 86_400_000,
    clock,
    logger,
    onOwed: tell('dispatcher'),
    onFatal: tell('fatal'),
  });
  const auditor = new Auditor({
    store,
    access: { isUsable: () => true },
    list: () => vendor.list(),
    pollAgain: async () => ({ kind: 'completed' }),
    categories: ['orders', 'patients'],
    clock,
    random: () => 0,
    logger,
    onFatal: tell('fatal'),
  });
  const eraser = new Eraser({ store, clock, logger, onFatal: tell('fatal') });
  const ingest = {
    ingest: createIngest({
      store,
      secret: ingestSecret,
      isShadow: false,
      clock,
      logger,
      onRecorded: tell('dispatcher'),
    }),
    challengeToken: 'a-challenge-token',
  };
  const closing = new AbortController();
  const app = createApp({
    store,
    closing: closing.signal,
    clock,
    logger,
    keys,
    version: '0.0.0',
    trustProxy: false,
    replayer,
    backfiller,
    auditor,
    eraser,
    vetUrl,
    vetTokenUrl: vetUrl,
    shakeHands: async (subscriber: Subscriber) => {
      told.push(`handshake ${subscriber.url}`);
      return endpoint.handshake;
    },
    sendTest: async (subscriber: Subscriber, type) => {
      told.push(`test ${subscriber.url} ${type}`);
      return endpoint.test;
    },
    examine: async ({ url }) => {
      told.push(`doctor ${url}`);
      return endpoint.examination;
    },
    wakeDispatcher: tell('dispatcher'),
    wakePoller: tell('poller'),
    ingest,
    connectionChanged: (id) => told.push(`connection ${id.slice(0, 4)}`),
    countStart: async ({ name }) => ({
      clinicId: 'clinic-1',
      name,
      startAt: startedAt,
      categories: [{ category: 'orders', taken: 3, past: 2, isAtLeast: false, problem: null }],
    }),
    connecting: {
      link: (name, connectionId) => ({
        url: `http://vendor/authorize?for=${name}`,
        connectionId,
        expiresAt: clock.now() + 600_000,
      }),
      outcomeOf: async (connectionId) => (connectionId === 'con_denied' ? { kind: 'denied' } : null),
      complete: async ({ error }) =>
        error === null
          ? { kind: 'connected', name: '<Washington>', clinicId: 'clinic-1' }
          : { kind: 'denied' },
    },
    revokeTokens: async (owed) => {
      await vendor.whileRevoking();
      for (const { tokens } of owed) told.push(`revoked ${tokens.accessToken}`);
      return vendor.isRevoking;
    },
    isShadow: false,
    categories: ['orders', 'patients', 'lab_orders'],
    arePollsMoving: () => endpoint.isPolling,
    tryOperator: async () => endpoint.operator,
    shortfall: () => endpoint.shortfall,
    standstill: () => endpoint.standstill,
    connectionUse: () => ({ answered: 12, reused: 9 }),
    ...(limits && { limits }),
  });
  const server = await startServer(app, { host: '127.0.0.1', port: 0 });
  onTestFinished(async () => {
    closing.abort();
    await server.close();
    await replayer.stop();
    await backfiller.stop();
    await auditor.stop();
    await eraser.stop();
    await discard();
  });
  return {
    url: server.url,
    store,
    clock,
    logged: lines,
    replayer,
    auditor,
    told,
    closing,
    vendor,
    endpoint,
    async ask(method, path, { body, token = ehr, headers = {} } = {}) {
      const response = await fetch(server.url + path, {
        method,
        headers: {
          ...(token !== null && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
        redirect: 'manual',
      });
      const text = await response.text();
      return {
        status: response.status,
        headers: response.headers,
        text,
        body: text === '' ? null : JSON.parse(text),
      };
    },
  };
}

/** As the guard does it, in little. */
function vetUrl(text: string): UrlVerdict {
  if (!URL.canParse(text)) return { kind: 'refused', reason: 'it is no URL', allowWith: null };
  const url = new URL(text);
  if (url.protocol === 'https:') return { kind: 'ok', url: url.href };
  return {
    kind: 'refused',
    reason: 'plain http is not allowed',
    allowWith: '"delivery": {"allowHttp": true}',
  };
}
