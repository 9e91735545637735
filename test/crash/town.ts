import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signToken } from '../../src/api/auth.ts';
import { RelayUnreachable } from '../../src/client/errors.ts';
import { type CallApi, connectApi } from '../../src/client/relay-api.ts';
import type {
  DeliveryView,
  DeliveryWithAttempts,
  PageView,
  StatusView,
  SubscriberView,
} from '../../src/client/views.ts';
import { documentedEventTypes } from '../../src/domain/event.ts';
import type { Random } from '../../src/sandbox/random.ts';
import { type RunningSandbox, startSandbox } from '../../src/sandbox/server.ts';
import { type ReceivingSubscriber, receivingSubscriber } from '../world/subscriber.ts';
import { judge, Ledger, type Verdict } from './ledger.ts';

const subscribersMax = 5;
const settleMs = 30_000;

/** A vendor and subscribers that nobody kills, round one data folder, and their ledgers. */
export class Town {
  readonly folder = mkdtempSync(join(tmpdir(), 'relay-crash-'));
  readonly env: Readonly<Record<string, string>> = {
    RELAY_MASTER_KEY: randomBytes(32).toString('base64'),
    RELAY_JWT_SECRET: randomBytes(32).toString('base64'),
  };
  readonly sandbox: RunningSandbox;
  readonly ledgers = new Map<string, Ledger>();
  /** What the relay refused although it should not have. */
  readonly refusals: string[] = [];
  readonly #random: Random;
  readonly #endpoints: ReceivingSubscriber[] = [];

  private constructor(sandbox: RunningSandbox, random: Random) {
    this.sandbox = sandbox;
    this.#random = random;
  }

  static async open(seed: number, random: Random): Promise<Town> {
    const sandbox = await startSandbox({ seed, clinics: ['Washington', 'New York'] });
    const town = new Town(sandbox, random);
    const declared = await town.#endpoint('declared', 0);
    const config = {
      source: {
        environment: 'us-sandbox',
        apiUrl: `${sandbox.url}/api`,
        clientId: 'sandbox-client',
        clientSecret: 'sandbox-secret',
        categories: ['patients', 'orders'],
        pollSecondsMin: 1,
        pollSecondsMax: 1,
        startFrom: '1h',
      },
      clinics: sandbox.fullscript.clinics.map(({ name, slug }) => ({
        name,
        accessToken: `sandbox-access-${slug}`,
        refreshToken: `sandbox-refresh-${slug}`,
      })),
      subscribers: [{ name: 'declared', url: declared.url, ...dialect, secret: secretOf('declared') }],
      delivery: { allowPrivateAddresses: true, allowHttp: true },
      store: { kind: 'file', path: join(town.folder, 'data') },
      server: { port: 0 },
    };
    writeFileSync(town.configPath, JSON.stringify(config));
    return town;
  }

  get configPath(): string {
    return join(this.folder, 'relay.config.json');
  }

  api(url: string): CallApi {
    const keys = { kind: 'secret', secret: this.env.RELAY_JWT_SECRET ?? '' } as const;
    const ask = { subject: 'owner', scopes: ['admin'], expiresInSeconds: 600 } as const;
    return connectApi({ url, token: () => signToken(keys, ask, Date.now()).token, timeoutMs: 10_000 });
  }

  /**
   * Lets happen at the clinics, and asks of the relay, what makes every durable step come
   * by. Whatever is under way when the process ends was not told to be done.
   */
  async stir(call: CallApi, life: number): Promise<void> {
    const random = this.#random;
    const { faults, clinics } = this.sandbox.fullscript;
    for (let made = random.int(2, 5); made > 0; made--) this.#happen();
    // A token that ends makes the relay renew it; an item that cannot be read is set aside for a while.
    faults.switchOn({ name: 'unauthorized', times: 1 });
    faults.switchOn({ name: 'error-status', times: 1, status: 404, operation: 'retrieve' });
    const post = async (path: string, body?: object) => {
      await call({ method: 'POST', path, ...(body && { body }) }).catch((error: unknown) => {
        if (!(error instanceof RelayUnreachable)) this.refusals.push(`${path}: ${error}`);
      });
    };
    await this.#register(call).catch(() => {});
    await post('/v1/replays', { state: 'delivered', since: new Date(Date.now() - 3_000).toISOString() });
    await post('/v1/tokens/revoke', { jti: `token-of-life-${life}` });
    const delivered = await this.#delivered(call).catch(() => []);
    if (delivered.length > 0) await post(`/v1/deliveries/${random.pick(delivered).id}/replay`);
    const registered = (await this.#subscribers(call).catch(() => [])).find(({ isDeclared }) => !isDeclared);
    if (registered) {
      await post(`/v1/subscribers/${registered.id}/pause`);
      this.#happen();
      await post(`/v1/subscribers/${registered.id}/resume`, { backlog: 'deliver' });
    }
    for (const { id } of clinics) await post(`/v1/clinics/${id}/poll`);
  }

  /** Waits until everything that was listed is accepted by everybody it is owed to. @throws Error naming what is not */
  async settle(call: CallApi): Promise<void> {
    this.sandbox.fullscript.faults.switchAllOff();
    await this.#unpause(call);
    await this.#matchRegistrations(call);
    const end = performance.now() + settleMs;
    for (;;) {
      const events = this.sandbox.fullscript.ledger();
      const missing = [...this.ledgers.values()].flatMap((ledger) =>
        ledger.missing(events).map((id) => `${ledger.name} ${id}`),
      );
      const { deliveries } = (await call({ method: 'GET', path: '/v1/status' })) as StatusView;
      const { pending = 0, held = 0 } = deliveries.counts;
      if (missing.length === 0 && pending === 0 && held === 0) return;
      if (performance.now() > end) {
        throw new Error(
          `does not settle: ${JSON.stringify(deliveries.counts)}, missing ${missing.slice(0, 5)}`,
        );
      }
      await pause(30);
    }
  }

  async verdict(call: CallApi): Promise<Verdict> {
    const events = this.sandbox.fullscript.ledger();
    const unknownOf = async (id: string) => {
      const delivery = (await call({ method: 'GET', path: `/v1/deliveries/${id}` })) as DeliveryWithAttempts;
      const unknown = delivery.attempts.filter(({ outcome, isLate }) => isLate || outcome === 'interrupted');
      return unknown.length + delivery.round - 1;
    };
    const verdicts = await Promise.all(
      [...this.ledgers.values()].map((each) => judge(each, events, unknownOf)),
    );
    return {
      lost: verdicts.flatMap(({ lost }) => lost),
      wrong: verdicts.flatMap(({ wrong }) => wrong),
      repeats: verdicts.reduce((sum, { repeats }) => sum + repeats, 0),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#endpoints.map((endpoint) => endpoint.close()));
    await this.sandbox.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #happen(): void {
    const { fullscript } = this.sandbox;
    const types = documentedEventTypes.filter((type) => /^(patient|order)\./.test(type));
    fullscript.addEvent({
      clinic: this.#random.pick(fullscript.clinics).name,
      type: this.#random.pick(types),
    });
  }

  async #endpoint(name: string, since: number): Promise<ReceivingSubscriber> {
    const endpoint = await receivingSubscriber();
    this.#endpoints.push(endpoint);
    const ledger = new Ledger(name, since);
    this.ledgers.set(name, ledger);
    endpoint.answer((request) => ledger.answer(request));
    return endpoint;
  }

  /** One that was told to be registered is owed what happens from then on. */
  async #register(call: CallApi): Promise<void> {
    if (this.ledgers.size >= subscribersMax) return;
    const name = `registered-${this.ledgers.size}`;
    const endpoint = await this.#endpoint(name, Number.POSITIVE_INFINITY);
    const body = { name, url: endpoint.url, ...dialect, secret: secretOf(name) };
    await call({ method: 'POST', path: '/v1/subscribers', body });
    const ledger = this.ledgers.get(name);
    if (ledger) ledger.owedSince(Date.now());
  }

  /** Of one whose answer a kill cut off nobody knows whether it is there: what is there is owed from now on. */
  async #matchRegistrations(call: CallApi): Promise<void> {
    const known = new Set((await this.#subscribers(call)).map(({ name }) => name));
    for (const [name, ledger] of this.ledgers) {
      if (known.has(name)) ledger.owedSince(Date.now());
      else if (ledger.isOwed) throw new Error(`${name} was registered and is not there`);
      else this.ledgers.delete(name);
    }
  }

  async #delivered(call: CallApi): Promise<readonly DeliveryView[]> {
    const query = { state: 'delivered', limit: 20 };
    return ((await call({ method: 'GET', path: '/v1/deliveries', query })) as PageView<DeliveryView>).data;
  }

  async #unpause(call: CallApi): Promise<void> {
    for (const { id, state } of await this.#subscribers(call)) {
      if (state === 'active') continue;
      await call({ method: 'POST', path: `/v1/subscribers/${id}/resume`, body: { backlog: 'deliver' } });
    }
  }

  async #subscribers(call: CallApi): Promise<readonly SubscriberView[]> {
    return ((await call({ method: 'GET', path: '/v1/subscribers' })) as PageView<SubscriberView>).data;
  }
}

/** The event's own text is the body, and a refused attempt is made again at once. */
const dialect = { profile: 'standard', retrySeconds: [0, 0, 1, 1, 1, 1] } as const;

function secretOf(name: string): string {
  return `whsec_${createHash('sha256').update(name).digest('base64')}`;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
