import type { BackfillView } from './backfills.ts';
import { allPages } from './pages.ts';
import { type CallApi, pathOf } from './relay-api.ts';

export type StateOfSubscriber = 'active' | 'failing' | 'paused' | 'deleted';

export interface SubscriberView {
  readonly id: string;
  readonly name: string;
  readonly url: string;
  readonly profile: 'fullscript' | 'standard';
  readonly state: StateOfSubscriber;
  /** Why it is paused; empty while it is not. */
  readonly pauseReasons: readonly string[];
  readonly eventTypes: readonly string[];
  readonly clinicIds: readonly string[];
  readonly isDeclared: boolean;
  /** The waits of a round; `null` for those of its profile. */
  readonly retrySeconds: readonly number[] | null;
  /** Requests at once; `null` for what the configuration says. */
  readonly concurrency: number | null;
  /** `null` for as many as come. */
  readonly requestsPerSecond: number | null;
  /** `null` where none is promised. */
  readonly order: 'perClinic' | null;
  readonly envelope: string;
  /** Each request to it carries a token over its body. */
  readonly jwt: boolean;
  readonly thin: boolean;
  /** Of its static headers; nobody is shown their values. */
  readonly headerNames: readonly string[];
  /** `null` where it is the operator's alone. */
  readonly owner: string | null;
  readonly hasChallengeToken: boolean;
  /** The kind of its signature: `v1a` is asymmetric. */
  readonly signature: 'v1' | 'v1a';
  /** `whpk_…`, newest first; empty unless it signs as v1a. */
  readonly publicKeys: readonly string[];
  readonly lastSuccessAt: string | null;
  readonly lastFailureAt: string | null;
  readonly createdAt: string;
}

/** A subscriber after a change, with what is allowed and probably not meant. */
export interface ChangedSubscriberView extends SubscriberView {
  readonly warnings: readonly string[];
}

/** A subscriber after `resume`, and what came of the handshake that it owed. */
export interface ResumedSubscriberView extends SubscriberView {
  readonly handshakeResult?: {
    readonly passed: boolean;
    readonly message: string;
    readonly hint: string;
  };
}

/** The only answers that ever hold the secret; a challenge token stands in it if one was made. */
export interface NewSubscriberView extends ChangedSubscriberView {
  /** Absent where receivers know the public key alone. */
  readonly secret?: string;
  readonly backfill?: BackfillView;
  readonly challengeToken?: string;
}

/** A subscriber's fields as file and API name them; the relay judges their values. */
export interface SubscriberInput {
  /** Of a new one: since when it is sent events of the past; `now`, a length of time, or an instant. */
  readonly startFrom?: string | undefined;
  readonly name?: string | undefined;
  readonly url?: string | undefined;
  readonly profile?: string | undefined;
  readonly secret?: string | undefined;
  readonly signature?: string | undefined;
  readonly challenge?: boolean | undefined;
  /** `null` takes it away. */
  readonly challengeToken?: string | null | undefined;
  readonly eventTypes?: readonly string[] | undefined;
  readonly clinicIds?: readonly string[] | undefined;
  readonly envelope?: string | undefined;
  readonly handshake?: string | undefined;
  /** `null`, of these four: as if none had ever been chosen. */
  readonly retrySeconds?: readonly number[] | null | undefined;
  readonly concurrency?: number | null | undefined;
  readonly requestsPerSecond?: number | null | undefined;
  readonly order?: string | null | undefined;
  readonly jwt?: boolean | undefined;
  readonly thin?: boolean | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export function listSubscribers(call: CallApi): Promise<readonly SubscriberView[]> {
  return allPages(call, '/v1/subscribers');
}

export async function addSubscriber(call: CallApi, body: SubscriberInput): Promise<NewSubscriberView> {
  return (await call({ method: 'POST', path: '/v1/subscribers', body })) as NewSubscriberView;
}

export async function showSubscriber(call: CallApi, id: string): Promise<SubscriberView> {
  return (await call({ method: 'GET', path: pathOf('v1', 'subscribers', id) })) as SubscriberView;
}

export async function updateSubscriber(
  call: CallApi,
  id: string,
  body: SubscriberInput,
): Promise<ChangedSubscriberView> {
  const path = pathOf('v1', 'subscribers', id);
  return (await call({ method: 'PATCH', path, body })) as ChangedSubscriberView;
}

export async function removeSubscriber(call: CallApi, id: string): Promise<void> {
  await call({ method: 'DELETE', path: pathOf('v1', 'subscribers', id) });
}

export async function pauseSubscriber(call: CallApi, id: string): Promise<SubscriberView> {
  return (await call({ method: 'POST', path: pathOf('v1', 'subscribers', id, 'pause') })) as SubscriberView;
}

/** @param backlog what happens to the deliveries that were held: sent, or ended as skipped. */
export async function resumeSubscriber(
  call: CallApi,
  id: string,
  backlog: 'deliver' | 'skip',
): Promise<ResumedSubscriberView> {
  const path = pathOf('v1', 'subscribers', id, 'resume');
  return (await call({ method: 'POST', path, body: { backlog } })) as ResumedSubscriberView;
}

/** Sends the subscriber a request that is no delivery, and says what it answered. */
export async function testSubscriber(call: CallApi, id: string, type?: string): Promise<TestView> {
  const path = pathOf('v1', 'subscribers', id, 'test');
  return (await call({ method: 'POST', path, body: type === undefined ? {} : { type } })) as TestView;
}

/** @param rotation `secret`: the new one, made when absent; `overlapSeconds`: how long the old one signs beside it. */
export async function rotateSecret(
  call: CallApi,
  id: string,
  rotation: {
    readonly secret?: string | undefined;
    readonly signature?: string | undefined;
    readonly overlapSeconds?: number | undefined;
  },
): Promise<NewSubscriberView> {
  const path = pathOf('v1', 'subscribers', id, 'rotate-secret');
  return (await call({ method: 'POST', path, body: rotation })) as NewSubscriberView;
}

export interface TestView {
  readonly passed: boolean;
  /** In one phrase, as attempts show it. */
  readonly outcome: string;
  /** What to do about it, where the relay can tell. */
  readonly hint?: string;
}

/** Has the relay examine a subscriber's receiver; takes 45 seconds at most. */
export async function examineSubscriber(call: CallApi, id: string): Promise<ExaminationView> {
  return (await call({
    method: 'POST',
    path: pathOf('v1', 'subscribers', id, 'doctor'),
  })) as ExaminationView;
}

export interface ExaminationView {
  readonly passed: boolean;
  readonly findings: readonly {
    readonly check: string;
    readonly grade: 'good' | 'warning' | 'fix' | 'skipped';
    readonly message: string;
    /** What to do about it; `null` where nothing is to be done. */
    readonly hint: string | null;
  }[];
}
