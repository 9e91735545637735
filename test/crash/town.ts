import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signToken } from '../../src/api/auth.ts';
import type { ClinicView } from '../../src/client/clinics.ts';
import type { DeliveryWithAttempts } from '../../src/client/deliveries.ts';
import { RelayRefused, RelayUnreachable } from '../../src/client/errors.ts';
import type { PageView } from '../../src/client/pages.ts';
import { type CallApi, connectApi } from '../../src/client/relay-api.ts';
import type { StatusView } from '../../src/client/status.ts';
import type { SubscriberView } from '../../src/client/subscribers.ts';
import { documentedEventTypes } from '../../src/domain/event.ts';
import type { StoredEvent } from '../../src/sandbox/event-log.ts';
import type { Random } from '../../src/sandbox/random.ts';
import { type RunningSandbox, startSandbox } from '../../src/sandbox/server.ts';
import { realDisk } from '../../src/store/file/disk.ts';
import type { MasterKeys } from '../../src/store/file/keys.ts';
import { verifyLog } from '../../src/store/file/verify.ts';
import { type ReceivingSubscriber, receivingSubscriber } from '../world/subscriber.ts';
import { audit } from './audits.ts';
import { judge, Ledger, type Verdict } from './ledger.ts';
import { cleared, leaves } from './leftovers.ts';
import { type MovableClock, movableClock } from './movable-clock.ts';
import { pause } from './pause.ts';
import { configOf, dialect, freshKey, secretOf, unwantedClinic, wantedClinics } from './town-config.ts';

const subscribersMax = 5;
const settleMs = 60_000;
/** Further back than polls look, and within the vendor's 30 days. */
const lateByMs = 6 * 86_400_000;

/** A vendor and subscribers that nobody kills, round one data folder, and their ledgers. */
export class Town {
  readonly folder = mkdtempSync(join(tmpdir(), 'relay-crash-'));
  readonly env: Record<'RELAY_MASTER_KEY' | 'RELAY_JWT_SECRET', string> & {
    RELAY_MASTER_KEY_PREVIOUS?: string;
  } = { RELAY_MASTER_KEY: freshKey(), RELAY_JWT_SECRET: freshKey() };
  readonly sandbox: RunningSandbox;
  readonly ledgers = new Map<string, Ledger>();
  /** What the relay refused although it should not have. */
  readonly refusals: string[] = [];
  /** Events that were asked to be erased, or are about to be. */
  readonly erased = new Set<string>();
  readonly random: Random;
  readonly #endpoints: ReceivingSubscriber[] = [];
  /** Of deliveries that were sent again: how many of their attempts nobody knew the result of. */
  readonly #unknown = new Map<string, number>();
  readonly #clock: MovableClock;
  #aheadMs = 0;
  #isAuditNeeded = false;

  private constructor(sandbox: RunningSandbox, clock: MovableClock, random: Random) {
    this.sandbox = sandbox;
    this.#clock = clock;
    this.random = random;
    leaves(this.folder, () => this.#discard());
  }

  static async open(seed: number, random: Random): Promise<Town> {
    const clock = movableClock();
    const sandbox = await startSandbox({ seed, clock, clinics: [...wantedClinics, unwantedClinic] });
    const town = new Town(sandbox, clock, random);
    const { endpoint } = await town.#endpoint('declared', 0);
    const config = configOf(sandbox, { declaredUrl: endpoint.url, dataPath: town.dataPath });
    writeFileSync(town.configPath, JSON.stringify(config));
    return town;
  }

  get configPath(): string {
    return join(this.folder, 'relay.config.json');
  }

  get dataPath(): string {
    return join(this.folder, 'data');
  }

  get masterKeys(): MasterKeys {
    return { current: Buffer.from(this.env.RELAY_MASTER_KEY, 'base64'), previous: null };
  }

  /** How far time is ahead of the real one. */
  get aheadMs(): number {
    return this.#aheadMs;
  }

  /** Lets so much time have passed at the vendor, and for every relay that starts from now on. */
  advance(ms: number): void {
    this.#aheadMs += ms;
    this.#clock.advance(ms);
  }

  now(): number {
    return this.#clock.wall();
  }

  api(url: string): CallApi {
    const keys = { kind: 'secret', secret: this.env.RELAY_JWT_SECRET } as const;
    const ask = { subject: 'owner', scopes: ['admin'], expiresInSeconds: 600 } as const;
    return connectApi({ url, token: () => signToken(keys, ask, this.now()).token, timeoutMs: 10_000 });
  }

  /** Whatever is under way when the process ends was not told to be done. */
  async post(call: CallApi, path: string, body?: object): Promise<void> {
    await call({ method: 'POST', path, ...(body && { body }) }).catch((error: unknown) => {
      if (!(error instanceof RelayUnreachable)) this.refusals.push(`${path}: ${error}`);
    });
  }

  /** @param ask created when, which is now when left out; and whether nobody is owed it. */
  happen({
    isUnwanted = false,
    ...ask
  }: {
    readonly createdAt?: number;
    readonly isUnwanted?: boolean;
  } = {}) {
    const types = documentedEventTypes.filter((type) => /^(patient|order)\./.test(type));
    const clinic = isUnwanted ? unwantedClinic : this.random.pick(wantedClinics);
    return this.sandbox.fullscript.addEvent({ ...ask, clinic, type: this.random.pick(types) });
  }

  /** All that somebody is owed. */
  events(): readonly StoredEvent[] {
    return wantedClinics.flatMap((clinic) => this.sandbox.fullscript.ledger(clinic));
  }

  /** What ordinary polls do not list any more became visible only now; an audit finds it. */
  happenLate(): void {
    this.#isAuditNeeded = true;
    this.happen({ createdAt: this.now() - lateByMs });
  }

  /** The key is another one from the next start on, which has the one before beside it. */
  changeMasterKey(): void {
    this.env.RELAY_MASTER_KEY_PREVIOUS = this.env.RELAY_MASTER_KEY;
    this.env.RELAY_MASTER_KEY = freshKey();
  }

  forgetPreviousMasterKey(): void {
    delete this.env.RELAY_MASTER_KEY_PREVIOUS;
  }

  /** One that may be changed, registered if there is none. */
  async registered(call: CallApi): Promise<{ readonly id: string; readonly ledger: Ledger }> {
    const found = () =>
      this.subscribers(call).then((all) =>
        all.find(({ name, isDeclared }) => !isDeclared && this.ledgers.has(name)),
      );
    const known = await found();
    if (!known) await this.register(call);
    const subscriber = known ?? (await found());
    const ledger = this.ledgers.get(subscriber?.name ?? '');
    if (!subscriber || !ledger) throw new Error('nobody is registered');
    return { id: subscriber.id, ledger };
  }

  /** Waits until everything that was listed is accepted by everybody it is owed to. @throws Error naming what is not */
  async settle(call: CallApi): Promise<void> {
    this.sandbox.fullscript.faults.switchAllOff();
    await this.#unpause(call);
    await this.#matchRegistrations(call);
    if (this.#isAuditNeeded) await audit(call);
    this.#isAuditNeeded = false;
    const end = performance.now() + settleMs;
    for (;;) {
      const events = this.events();
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
    const events = this.events();
    const unknownOf = async (id: string) => {
      const found = await call({ method: 'GET', path: `/v1/deliveries/${id}` }).catch(ifKept);
      const delivery = found as DeliveryWithAttempts | null;
      const known = this.#unknown.get(id);
      if (delivery === null && known !== undefined) return known;
      const unknown = delivery?.attempts.filter(({ outcome, isLate }) => isLate || outcome === 'interrupted');
      const count = (unknown?.length ?? 0) + (delivery?.round ?? 1) - 1;
      this.#unknown.set(id, count);
      return count;
    };
    const verdicts = await Promise.all(
      [...this.ledgers.values()].map((each) => judge(each, events, unknownOf)),
    );
    const log = await verifyLog(realDisk, this.dataPath, this.masterKeys);
    const wrong = [...verdicts.flatMap(({ wrong }) => wrong), ...log.damagedBodies.first];
    for (const ledger of this.ledgers.values()) ledger.settle();
    return {
      lost: verdicts.flatMap(({ lost }) => lost),
      wrong,
      repeats: verdicts.reduce((sum, { repeats }) => sum + repeats, 0),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#endpoints.map((endpoint) => endpoint.close()));
    await this.sandbox.close();
    this.#discard();
    cleared(this.folder);
  }

  #discard(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #endpoint(name: string, since: number) {
    const endpoint = await receivingSubscriber();
    this.#endpoints.push(endpoint);
    const ledger = new Ledger(name, since, secretOf(name));
    this.ledgers.set(name, ledger);
    endpoint.answer((request) => ledger.answer(request));
    return { endpoint, ledger };
  }

  /** One more that may come as it likes, unless there are many. */
  async registerSome(call: CallApi): Promise<void> {
    if (this.ledgers.size < subscribersMax) await this.register(call);
  }

  /**
   * One that was told to be registered is owed what happens from then on.
   *
   * @param startFrom or from this moment of the past on.
   */
  async register(call: CallApi, { startFrom }: { readonly startFrom?: number } = {}): Promise<Ledger> {
    const name = `registered-${this.#endpoints.length}`;
    const { endpoint, ledger } = await this.#endpoint(name, Number.POSITIVE_INFINITY);
    const past = startFrom === undefined ? {} : { startFrom: new Date(startFrom).toISOString() };
    const body = { name, url: endpoint.url, ...dialect, ...past, secret: secretOf(name) };
    await call({ method: 'POST', path: '/v1/subscribers', body });
    ledger.owedSince(startFrom ?? this.now());
    return ledger;
  }

  /** Of one whose answer a kill cut off nobody knows whether it is there: what is there is owed from now on. */
  async #matchRegistrations(call: CallApi): Promise<void> {
    const known = new Set((await this.subscribers(call)).map(({ name }) => name));
    for (const [name, ledger] of this.ledgers) {
      if (known.has(name)) ledger.owedSince(this.now());
      else if (ledger.isOwed) throw new Error(`${name} was registered and is not there`);
      else this.ledgers.delete(name);
    }
  }

  async #unpause(call: CallApi): Promise<void> {
    for (const { id, state } of await this.subscribers(call)) {
      if (state === 'active') continue;
      await call({ method: 'POST', path: `/v1/subscribers/${id}/resume`, body: { backlog: 'deliver' } });
    }
    const clinics = (await call({ method: 'GET', path: '/v1/clinics' })) as PageView<ClinicView>;
    for (const { id, state } of clinics.data) {
      if (state === 'paused') await call({ method: 'POST', path: `/v1/clinics/${id}/resume` });
    }
  }

  async subscribers(call: CallApi): Promise<readonly SubscriberView[]> {
    return ((await call({ method: 'GET', path: '/v1/subscribers' })) as PageView<SubscriberView>).data;
  }
}

function ifKept(error: unknown): null {
  if (error instanceof RelayRefused && error.status === 404) return null;
  throw error;
}
