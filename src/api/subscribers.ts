import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { type BackfillJob, newBackfillJob } from '../delivery/backfill.ts';
import type { Outcome } from '../domain/attempt.ts';
import { Conflict, InvalidInput, RelayError } from '../domain/errors.ts';
import { secretProblem } from '../domain/signing-secret.ts';
import type { Subscriber } from '../domain/subscriber.ts';
import {
  isHandshakeStale,
  newSubscriber,
  owesHandshake,
  type SubscriberChangeInput,
  subscriberChangeInput,
  subscriberInput,
} from '../domain/subscriber-input.ts';
import type { ClinicStore, SubscriberChange, SubscriberStore } from '../store/store.ts';
import { type BackfillsDependencies, pastInstant, viewOfBackfill } from './backfills.ts';
import { subscriberFor, visibleSubscribers } from './ownership.ts';
import { listOf, pageOf, pageQuery } from './query.ts';
import { newId, type Route, route } from './route.ts';
import {
  newSubscriberView,
  shownSecret,
  subscriberView,
  viewOfSubscriber,
  warningsFor,
} from './subscriber-view.ts';
import { type UrlVerdict, vettedUrl } from './url-verdict.ts';

/** Whether an endpoint answered its challenge; the words are for its developer. */
export type HandshakeVerdict =
  | { readonly kind: 'passed' }
  | { readonly kind: 'failed'; readonly message: string; readonly hint: string };

export interface SubscribersDependencies extends Pick<BackfillsDependencies, 'backfiller'> {
  readonly store: SubscriberStore & Pick<ClinicStore, 'clinics'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly vetUrl: (text: string) => UrlVerdict;
  readonly shakeHands: (subscriber: Subscriber) => Promise<HandshakeVerdict>;
  /** Sends a sample event that is no delivery. */
  readonly sendTest: (subscriber: Subscriber, eventType: string | null) => Promise<Outcome>;
  readonly wakeDispatcher: () => void;
}

export function subscriberRoutes(dependencies: SubscribersDependencies): readonly Route[] {
  const { store, clock, shakeHands, wakeDispatcher, backfiller } = dependencies;

  /** `null` when it begins now. */
  const backfillOf = async (
    subscriber: Subscriber,
    startFrom: string,
    owner: string,
  ): Promise<BackfillJob | null> => {
    if (startFrom === 'now') return null;
    const now = clock.now();
    const from = pastInstant(startFrom, now, 'startFrom');
    const { matched } = await backfiller.count(subscriber, from);
    return newBackfillJob({ subscriberId: subscriber.id, from }, { owner, matched, now });
  };

  const view = (subscriber: Subscriber) => viewOfSubscriber(subscriber, clock.now());

  return [
    route({
      method: 'get',
      path: '/v1/subscribers',
      scope: 'read',
      summary: 'List subscribers in the order of their registration',
      query: z.strictObject(pageQuery),
      answers: { status: 200, schema: listOf(subscriberView) },
      async answer({ caller, query }) {
        const visible = await visibleSubscribers(store, caller);
        const page = pageOf(
          visible.filter(({ deletedAt }) => deletedAt === null),
          query,
        );
        return { body: { data: page.items.map(view), nextCursor: page.nextCursor } };
      },
    }),
    route({
      method: 'post',
      path: '/v1/subscribers',
      scope: 'write',
      summary: 'Register a subscriber; the answer is the only one that ever holds its secret',
      body: subscriberInput,
      answers: { status: 201, schema: newSubscriberView },
      isDialling: true,
      async answer({ caller, body }) {
        const url = vettedUrl(dependencies.vetUrl, 'url', body.url);
        const others = await visibleSubscribers(store, caller);
        checkNameFree(others, body.name, caller.subject);
        const subscriber = newSubscriber(
          { ...body, url },
          {
            id: newId('sub'),
            owner: caller.subject,
            isDeclared: false,
            pauseReasons: [],
            createdAt: clock.now(),
          },
        );
        const backfill = await backfillOf(subscriber, body.startFrom ?? 'now', caller.subject);
        const isOwed = owesHandshake(subscriber);
        if (isOwed && body.challengeToken !== undefined) await demandHandshake(shakeHands, subscriber);
        const waits = isOwed && body.challengeToken === undefined;
        const added = await store.addSubscriber(
          { ...subscriber, pauseReasons: waits ? ['handshake'] : [] },
          backfill ?? undefined,
        );
        if (backfill !== null) await backfiller.resume();
        return {
          body: {
            ...view(added),
            ...shownSecret(added),
            ...(body.challenge && { challengeToken: added.challengeToken }),
            ...(backfill !== null && { backfill: viewOfBackfill(backfill) }),
            warnings: warningsFor(added, { others, clinics: await store.clinics() }),
          },
        };
      },
    }),
    route({
      method: 'get',
      path: '/v1/subscribers/{id}',
      scope: 'read',
      summary: 'Show a subscriber',
      answers: { status: 200, schema: subscriberView },
      async answer({ caller, id }) {
        return { body: view(await subscriberFor(store, caller, id)) };
      },
    }),
    route({
      method: 'patch',
      path: '/v1/subscribers/{id}',
      scope: 'write',
      summary: 'Change a subscriber; a changed URL has to pass its handshake again',
      body: subscriberChangeInput,
      answers: { status: 200, schema: subscriberView.extend({ warnings: z.array(z.string()) }) },
      isDialling: true,
      async answer({ caller, id, body }) {
        const before = await subscriberFor(store, caller, id);
        checkNotDeclared(before);
        const change = changeOf(dependencies, before, body);
        const after = { ...before, ...change };
        const isAwaited = before.pauseReasons.includes('handshake');
        const isOwed = owesHandshake(after) && (isAwaited || isHandshakeStale(before, after));
        // While the first one is still awaited, its receiver may not know the token yet.
        const verdict = isOwed ? await shakeHands(after) : null;
        if (verdict?.kind === 'failed' && !isAwaited) throw handshakeFailed(verdict);
        await store.changeSubscriber(id, change);
        const isSettled = verdict?.kind === 'passed' || !owesHandshake(after);
        const changed = await store.resumeSubscriber(id, {
          lift: isSettled ? ['handshake'] : [],
          backlog: 'deliver',
        });
        wakeDispatcher();
        const others = await visibleSubscribers(store, caller);
        const warnings = warningsFor(changed, { others, clinics: await store.clinics() });
        return { body: { ...view(changed), warnings } };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/subscribers/{id}',
      scope: 'write',
      summary: 'Delete a subscriber and cancel what it is still owed',
      answers: { status: 204, schema: null },
      async answer({ caller, id }) {
        const before = await subscriberFor(store, caller, id);
        if (!before.pauseReasons.includes('removed')) checkNotDeclared(before);
        await store.deleteSubscriber(id);
        wakeDispatcher();
        return { body: null };
      },
    }),
  ];
}

function checkNameFree(others: readonly Subscriber[], name: string, owner: string): void {
  if (others.some((other) => other.deletedAt === null && other.owner === owner && other.name === name)) {
    throw new Conflict('subscriber_name_taken', `There is a subscriber named ${name} already.`, {
      hint: 'Choose another name, or update the one there is.',
    });
  }
}

export function checkNotDeclared(subscriber: Subscriber): void {
  if (!subscriber.isDeclared) return;
  throw new Conflict('subscriber_declared', `${subscriber.name} stands in the configuration file.`, {
    hint: 'Change it there and start the relay again; what is removed there can be deleted here.',
  });
}

async function demandHandshake(
  shakeHands: SubscribersDependencies['shakeHands'],
  subscriber: Subscriber,
): Promise<void> {
  const verdict = await shakeHands(subscriber);
  if (verdict.kind === 'failed') throw handshakeFailed(verdict);
}

function handshakeFailed({ message, hint }: { message: string; hint: string }): RelayError {
  return new RelayError('handshake_failed', message, { hint });
}

/** @throws InvalidInput `url_refused`, `invalid_body` */
function changeOf(
  dependencies: SubscribersDependencies,
  before: Subscriber,
  body: SubscriberChangeInput,
): SubscriberChange {
  const { url, name, profile, challengeToken, eventTypes, clinicIds } = body;
  const { envelope, handshake, retrySeconds, concurrency, requestsPerSecond, order, jwt, thin, headers } =
    body;
  const problem = profile === undefined ? null : secretProblem(profile, before.secrets[0]?.value ?? '');
  if (problem !== null) {
    throw new InvalidInput('invalid_body', `The secret of ${before.name} does not fit that profile.`, {
      hint: 'Rotate the secret to one that fits both, or register a new subscriber.',
      problems: [{ path: 'profile', message: `has secrets that differ: its own ${problem}` }],
    });
  }
  return {
    ...(url !== undefined && { url: vettedUrl(dependencies.vetUrl, 'url', url) }),
    ...(name !== undefined && { name }),
    ...(profile !== undefined && { profile }),
    ...(challengeToken !== undefined && { challengeToken }),
    ...(eventTypes !== undefined && { eventTypes }),
    ...(clinicIds !== undefined && { clinicIds }),
    ...(envelope !== undefined && { envelope }),
    ...(handshake !== undefined && { handshake }),
    ...(retrySeconds !== undefined && { retrySeconds }),
    ...(concurrency !== undefined && { concurrency }),
    ...(requestsPerSecond !== undefined && { requestsPerSecond }),
    ...(order !== undefined && { order }),
    ...(jwt !== undefined && { jwt }),
    ...(thin !== undefined && { thin }),
    ...(headers !== undefined && { headers }),
  };
}
