import { allPages } from './pages.ts';
import { type CallApi, pathOf } from './relay-api.ts';
import type {
  ChangedSubscriberView,
  NewSubscriberView,
  ResumedSubscriberView,
  SubscriberInput,
  SubscriberView,
} from './views.ts';

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
