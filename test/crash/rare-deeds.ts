import type { DeliveryView } from '../../src/client/deliveries.ts';
import { RelayRefused } from '../../src/client/errors.ts';
import type { PageView } from '../../src/client/pages.ts';
import type { CallApi } from '../../src/client/relay-api.ts';
import type { StoredEvent } from '../../src/sandbox/event-log.ts';
import { fullscriptSignature } from '../../src/wire/fullscript.ts';
import { audit, audited } from './audits.ts';
import type { Prepared, Scene } from './deeds.ts';
import { prepareErasure } from './erasure-deed.ts';
import { pollAll, recorded } from './intake.ts';
import { pause } from './pause.ts';
import type { Town } from './town.ts';
import { webhookSecret } from './town-config.ts';

/** What an operator, or Fullscript itself, asks of a relay now and then. */
export type RareDeed =
  | 'erasure'
  | 'backfill'
  | 'seen import'
  | 'push'
  | 'fetch again'
  | 'token keys'
  | 'removal'
  | 'clinic pause'
  | 'disconnection'
  | 'link'
  | 'old audits';

const looksMax = 400;
const lookMs = 25;
/** At least so many are kept. */
const auditsKept = 5;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** What makes each of them possible, and then what makes its points come by. */
export const rareDeeds: Readonly<Record<RareDeed, (scene: Scene) => Promise<Prepared>>> = {
  erasure: prepareErasure,

  backfill: async ({ town, call }) => {
    const from = town.now() - 1;
    const events = [town.happen(), town.happen(), town.happen()];
    await recorded(town, call, events);
    return {
      async perform() {
        const ledger = await town.register(call, { startFrom: from });
        for (let left = looksMax; left > 0 && ledger.missing(events).length > 0; left--) await pause(lookMs);
      },
    };
  },

  'seen import': async ({ town, call }) => {
    const events = [town.happen({ isUnwanted: true }), town.happen({ isUnwanted: true })];
    await recorded(town, call, events);
    const clinicId = events[0]?.clinicId;
    const seen = (to: CallApi, dryRun: boolean) =>
      to({
        method: 'POST',
        path: '/v1/seen',
        body: { clinicId, eventIds: events.map(({ id }) => id), dryRun },
      }) as Promise<{ readonly withheld: number; readonly known: number }>;
    let isTold = false;
    return {
      async perform() {
        await seen(call, false);
        isTold = true;
      },
      async check(after) {
        const { withheld, known } = await seen(after, true);
        const isWhole = withheld === 0 || known === 0;
        return isWhole && !(isTold && withheld > 0) ? [] : [`${withheld} imported ids are not withheld`];
      },
    };
  },

  push: async ({ town, relay, call }) => {
    const told: string[] = [];
    return {
      async perform() {
        const events = [town.happen(), town.happen()];
        for (const event of events) if (await pushed(town, relay.url ?? '', event)) told.push(event.id);
        await pollAll(town, call);
      },
      async check(after) {
        const query = { pushed: true, limit: 500 };
        const page = (await after({ method: 'GET', path: '/v1/events', query })) as PageView<{ id: string }>;
        const known = new Set(page.data.map(({ id }) => id));
        return told.filter((id) => !known.has(id)).map((id) => `${id} was pushed, and is not known to be`);
      },
    };
  },

  'fetch again': async ({ town, relay, call }) => {
    const event = town.happen();
    await recorded(town, call, [event]);
    await town.settle(call);
    // Looks of retention until the days of its text are over.
    for (const ms of [2 * minuteMs, dayMs, dayMs, dayMs, dayMs, 7 * hourMs]) {
      relay.advance(ms);
      await pause(250);
    }
    const query = { eventId: event.id, state: 'delivered', limit: 1 };
    const page = (await call({ method: 'GET', path: '/v1/deliveries', query })) as PageView<DeliveryView>;
    return { perform: () => town.post(call, `/v1/deliveries/${page.data[0]?.id}/replay`) };
  },

  'token keys': async ({ call }) => {
    const rotate = () =>
      call({ method: 'POST', path: '/v1/keys/rotate', body: { overlapSeconds: 0 } }).then(signing);
    let asked = 0;
    const told: (string | undefined)[] = [];
    return {
      async perform() {
        for (; asked < 3; asked++) told.push(await rotate());
      },
      async check(after) {
        const now = await after({ method: 'GET', path: '/v1/keys' }).then(signing);
        // Of the one that was under way nobody knows.
        return asked === told.length && told.length === 3 && told.at(-1) !== now
          ? ['the key that signs is another one than was told']
          : [];
      },
    };
  },

  removal: async ({ town, call }) => {
    const ledger = await town.register(call);
    ledger.isClosed = true;
    const { id } = (await town.subscribers(call)).find(({ name }) => name === ledger.name) ?? { id: '' };
    await recorded(town, call, [town.happen(), town.happen()]);
    for (let left = looksMax; left > 0 && ledger.receipts.length === 0; left--) await pause(lookMs);
    town.ledgers.delete(ledger.name);
    return {
      async perform() {
        await call({ method: 'DELETE', path: `/v1/subscribers/${id}` });
      },
      async check(after) {
        // Nobody knows whether it is there; whatever is takes what it is owed.
        ledger.isClosed = false;
        const query = { subscriberId: id, limit: 100 };
        const page = (await after({
          method: 'GET',
          path: '/v1/deliveries',
          query,
        })) as PageView<DeliveryView>;
        const isThere = (await town.subscribers(after)).some((each) => each.id === id);
        const open = page.data.filter(({ state }) => state === 'pending' || state === 'held');
        return isThere || open.length === 0 ? [] : [`${open.length} deliveries of nobody are open`];
      },
    };
  },

  'clinic pause': async ({ town, call }) => ({
    async perform() {
      for (const { id } of town.sandbox.fullscript.clinics) {
        await town.post(call, `/v1/clinics/${id}/pause`);
        await town.post(call, `/v1/clinics/${id}/resume`);
      }
    },
  }),

  'old audits': async ({ call }) => {
    for (let made = auditsKept; made > 0; made--) await audit(call);
    return { perform: () => audit(call).then(() => {}), check: audited };
  },

  link: async ({ relay, call }) => {
    const made = async () =>
      (await call({ method: 'POST', path: '/v1/clinics/connect', body: {} })) as {
        readonly authorizeUrl: string;
        readonly connectionId: string;
      };
    const links = [await made(), await made()];
    const told: string[] = [];
    return {
      async perform() {
        for (const { authorizeUrl, connectionId } of links) {
          const state = new URL(authorizeUrl).searchParams.get('state') ?? '';
          const back = `${relay.url}/oauth/callback?${new URLSearchParams({ state, error: 'access_denied' })}`;
          const page = await fetch(back, { signal: AbortSignal.timeout(10_000) });
          if (page.status === 403) told.push(connectionId);
        }
      },
      async check(after) {
        const faults: string[] = [];
        for (const id of told) {
          const { state } = (await after({ method: 'GET', path: `/v1/clinics/connect/${id}` })) as {
            readonly state: string;
          };
          if (state !== 'failed') faults.push(`${id} was denied, and is ${state}`);
        }
        return faults;
      },
    };
  },

  disconnection: async ({ town, call, life }) => {
    const body = {
      name: `Strange ${life}`,
      accessToken: `nobody's ${life}`,
      refreshToken: `no one's ${life}`,
    };
    const { id } = (await call({ method: 'POST', path: '/v1/clinics', body })) as { readonly id: string };
    return {
      async perform() {
        await call({ method: 'DELETE', path: `/v1/clinics/${id}` }).catch((error: unknown) => {
          if (error instanceof RelayRefused) town.refusals.push(String(error));
        });
      },
    };
  },
};

/** As Fullscript's own webhook brings it. @returns whether it was told to be taken. */
async function pushed(town: Town, url: string, { text }: StoredEvent): Promise<boolean> {
  const body = Buffer.from(`{"event":${text}}`);
  const signature = fullscriptSignature(webhookSecret, Math.floor(town.now() / 1000), body);
  const answer = await fetch(`${url}/v1/ingest/fullscript`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'Fullscript-Signature': signature },
    body,
    signal: AbortSignal.timeout(10_000),
  });
  if (!answer.ok) town.refusals.push(`a webhook: ${answer.status} ${await answer.text()}`);
  return answer.ok;
}

function signing(answer: unknown): string | undefined {
  const { data } = answer as { data: { readonly id: string; readonly isSigning: boolean }[] };
  return data.find(({ isSigning }) => isSigning)?.id;
}
