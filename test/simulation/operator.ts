import { newReplayJob } from '../../src/delivery/replay.ts';
import { Conflict, NotFound, StoreBroken, StoreUnavailable } from '../../src/domain/errors.ts';
import { reasonsLiftedByResume, type Subscriber, untriedHealth } from '../../src/domain/subscriber.ts';
import type { Random } from '../../src/sandbox/random.ts';
import { seededRandom, seedOf } from '../../src/sandbox/random.ts';
import { type Dump, dumpOf } from './dump.ts';
import { Endpoint, moods } from './endpoints.ts';
import type { Life } from './life.ts';
import type { Rooms } from './relay.ts';
import { authorizeAgain } from './vendor.ts';
import { switchSomeFault } from './vendor-faults.ts';
import { keyOf } from './witness.ts';
import type { World } from './world.ts';

export interface Running {
  readonly life: Life;
  readonly rooms: Rooms;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
/** A poll that began before something was listed has ended by then. */
const longestPollMs = 5 * minuteMs;

/** Everybody outside: clinics where things happen, subscribers that come, go and fail, and a person at the relay. */
export class Operator {
  readonly #world: World;
  readonly #random: Random;
  #running: Running | null = null;
  #made = 0;
  #healedAt = 0;
  #phase: 'bad' | 'healing' | 'replaying' = 'bad';

  constructor(world: World) {
    this.#world = world;
    this.#random = seededRandom(seedOf(world.seed, 'operator'));
  }

  /** A process is up, or (`null`) is no more. */
  takeOver(running: Running | null): void {
    this.#running = running;
    const { plan } = this.#world;
    if (running && this.#made === 0) {
      for (let made = 0; made < plan.subscribers; made++) this.#addSubscriber(running);
    }
    if (running && this.#phase !== 'bad') this.#healRelay(running);
  }

  start(): void {
    const { time, plan } = this.#world;
    const next = () => {
      if (this.#phase !== 'bad') return;
      this.#act();
      time.after(Math.round(plan.meanPauseMs * 2 * this.#random.next()), next);
    };
    time.after(minuteMs, next);
  }

  #act(): void {
    const random = this.#random;
    let left = random.next() * allShares;
    for (const [name, share] of shares) {
      left -= share;
      if (left >= 0) continue;
      this.#actions[name]();
      return;
    }
  }

  readonly #actions: Readonly<Record<Action, () => unknown>> = {
    event: () => this.#addEvents(1),
    burst: () => this.#addEvents(this.#random.int(5, 25)),
    mood: () => this.#changeMood(),
    vendorFault: () => switchSomeFault(this.#world, this.#random),
    add: () => this.#do('add', (running) => this.#addSubscriber(running)),
    delete: () => this.#onSubscriber('delete', (store, id) => store.deleteSubscriber(id)),
    pause: () => this.#onSubscriber('pause', (store, id) => store.pauseSubscriber(id, 'person')),
    resume: () => {
      const backlog = this.#random.next() < 0.8 ? 'deliver' : 'skip';
      this.#onSubscriber(`resume ${backlog}`, (store, id) =>
        store.resumeSubscriber(id, { lift: reasonsLiftedByResume, backlog }),
      );
    },
    move: () => {
      const path = this.#random.int(1, 1_000_000);
      this.#onSubscriber('move', (store, id) =>
        store.changeSubscriber(id, { url: `http://${hostOf(id)}/${path}` }),
      );
    },
    rotate: () => this.#rotateSecret(),
    replayFailed: () => this.#replay('failed'),
    replaySkipped: () => this.#replay('skipped'),
    replayDelivered: () => this.#replay('delivered'),
    again: () => this.#startSomeRound(),
    pollSoon: () =>
      this.#do('pollSoon', async ({ rooms }) => {
        for (const { id } of await rooms.store.clinics()) await rooms.store.pollSoon(id);
        rooms.poller.wake();
      }),
    pauseClinic: () => this.#setClinicsPaused(true),
    resumeClinic: () => this.#setClinicsPaused(false),
    reconnect: () => this.#do('reconnect', (running) => this.#reconnect(running)),
    kill: () => this.#running?.life.end('kill'),
    powerCut: () => this.#running?.life.end('powerCut'),
    stop: () => this.#stop(),
    freeze: () => this.#freeze(),
    doom: () => {
      const { life } = this.#running ?? {};
      if (life) life.doom = this.#world.doomAfter(life.operations, 60);
    },
    diskFull: () => this.#fillDisk(),
    diskFails: () => this.#breakDisk(),
  };

  // --- what goes on at the clinics and the subscribers

  #addEvents(count: number): void {
    const { fullscript, history } = this.#world;
    const random = this.#random;
    for (let made = 0; made < count; made++) {
      const clinic = random.pick(fullscript.clinics).name;
      const event = fullscript.addEvent({
        clinic,
        type: random.pick(['order.placed', 'order.placed', 'patient.created', 'patient.updated']),
        ...(random.next() < 0.15 && {
          listedLateMs: random.int(1_000, random.next() < 0.9 ? 20 * minuteMs : 3 * hourMs),
        }),
      });
      history.note('event', event.clinicId, event.id, event.type);
      const other = fullscript.clinics.find(({ name }) => name !== clinic);
      if (other && random.next() < 0.1) {
        fullscript.addEvent({
          clinic: other.name,
          id: event.id,
          type: event.type,
          category: event.category,
        });
      }
    }
  }

  #changeMood(): void {
    const { network, history } = this.#world;
    const endpoints = [...network.endpoints];
    if (endpoints.length === 0) return;
    const [id, endpoint] = this.#random.pick(endpoints);
    endpoint.mood = this.#random.pick(moods);
    history.note('mood', id, endpoint.mood);
  }

  // --- what a person asks of the relay

  #do(name: string, what: (running: Running) => Promise<unknown> | unknown): void {
    const running = this.#running;
    if (!running || running.life.isFrozen) return;
    const { history } = this.#world;
    history.note('asks', name);
    Promise.resolve(what(running))
      .then(() => {
        if (running.life.isOver) return;
        running.rooms.dispatcher.wake();
        history.note('done', name);
      })
      .catch((error: unknown) => {
        const isExpected = [StoreUnavailable, StoreBroken, NotFound, Conflict].some(
          (kind) => error instanceof kind,
        );
        if (!isExpected) history.violate('I5 it recovers by itself', `${name}: ${error}`);
      });
  }

  #onSubscriber(name: string, what: (store: Rooms['store'], id: string) => Promise<unknown>): void {
    const known = [...this.#world.witness.subscribers.values()].filter(({ deleted }) => deleted === null);
    if (known.length === 0) return;
    const { id } = this.#random.pick(known).subscriber;
    this.#do(`${name} ${id}`, ({ rooms }) => what(rooms.store, id));
  }

  async #addSubscriber({ rooms }: Running): Promise<void> {
    this.#made += 1;
    const { network, history, fullscript } = this.#world;
    const subscriber = this.#inventSubscriber(this.#made);
    network.endpoints.set(
      subscriber.id,
      new Endpoint(subscriber, {
        history,
        random: seededRandom(seedOf(this.#world.seed, subscriber.id)),
        eventsOf: (eventId) => fullscript.ledger().filter(({ id }) => id === eventId),
      }),
    );
    await rooms.store.addSubscriber(subscriber);
  }

  #inventSubscriber(number: number): Subscriber {
    const random = this.#random;
    const id = `sub-${number}`;
    const profile = random.pick(['fullscript', 'standard'] as const);
    return {
      id,
      name: id,
      url: `http://${hostOf(id)}/`,
      profile,
      secrets: [{ value: inventSecret(random), expiresAt: null }],
      challengeToken: profile === 'fullscript' && random.next() < 0.4 ? `token-${id}` : null,
      eventTypes: random.next() < 0.7 ? [] : ['order.*'],
      clinicIds: random.next() < 0.8 ? [] : [random.pick(this.#world.fullscript.clinics).id],
      envelope: random.pick(['event', 'event_payload', 'both'] as const),
      handshake: 'off',
      retrySeconds: random.pick([[], [5], [5, 60], [1, 30, 300], [10, 120, 600, 1_800]]),
      concurrency: random.pick([null, 1, 2]),
      owner: 'owner',
      isDeclared: false,
      pauseReasons: [],
      pausedAt: null,
      health: untriedHealth,
      revision: 1,
      sequence: 0,
      createdAt: this.#world.time.now,
      deletedAt: null,
    };
  }

  #rotateSecret(): void {
    const value = inventSecret(this.#random);
    this.#onSubscriber('rotate', (store, id) => {
      this.#world.network.endpoints.get(id)?.secrets.push(value);
      return store.changeSubscriber(id, { secrets: [{ value, expiresAt: null }] });
    });
  }

  #replay(state: 'failed' | 'skipped' | 'delivered'): void {
    this.#do(`replay ${state}`, async ({ rooms, life }) => {
      const { subscribers } = await rooms.store.subscribers();
      const subscriberIds = subscribers.filter(({ deletedAt }) => deletedAt === null).map(({ id }) => id);
      const job = newReplayJob(
        { state, subscriberIds },
        { owner: 'owner', matched: 0, now: life.clock.now() },
      );
      await rooms.replayer.start(job);
    });
  }

  #startSomeRound(): void {
    this.#do('again', async ({ rooms }) => {
      const { items } = await rooms.store.deliveries({}, { limit: 50, cursor: null });
      if (items.length > 0) await rooms.store.startRounds([this.#random.pick(items).id]);
    });
  }

  #setClinicsPaused(isPaused: boolean): void {
    this.#do(isPaused ? 'pauseClinics' : 'resumeClinics', async ({ rooms }) => {
      for (const clinic of await rooms.store.clinics()) await rooms.store.saveClinic({ ...clinic, isPaused });
      rooms.poller.wake();
    });
  }

  async #reconnect({ rooms, life }: Running): Promise<void> {
    const { fullscript } = this.#world;
    for (const connection of await rooms.store.connections()) {
      if (connection.state === 'working') continue;
      this.#world.foreignRequests += 1;
      const tokens = authorizeAgain(fullscript, connection.name);
      if (tokens === null) continue;
      await rooms.store.saveConnection({
        ...connection,
        tokens: { ...tokens, expiresAt: life.clock.now() + 7_200_000 },
        spareTokens: null,
        state: 'working',
        stateReason: null,
      });
      rooms.poller.forget(connection.id);
      rooms.poller.wake();
    }
  }

  // --- what becomes of the process and its disk

  #stop(): void {
    const running = this.#running;
    if (!running || running.life.isFrozen) return;
    this.#running = null;
    const { rooms, life } = running;
    this.#world.history.note('stops', life.number);
    rooms
      .stop()
      .then(() => rooms.store.close())
      .catch(() => {})
      .finally(() => life.end('stop'));
  }

  #freeze(): void {
    const { life } = this.#running ?? {};
    if (!life) return;
    const ms = this.#random.int(10_000, 5 * minuteMs);
    if (this.#random.next() < 0.7) life.freezesAtSendMs = ms;
    else life.freeze(ms);
    this.#world.history.note('freeze', ms);
  }

  #fillDisk(): void {
    const world = this.#world;
    world.disk.freeBytes = this.#random.int(0, 6_000);
    world.isDiskFull = true;
    world.history.note('diskFull', world.disk.freeBytes);
    world.time.after(this.#random.int(10_000, 20 * minuteMs), () => this.#mendDisk());
  }

  #mendDisk(): void {
    this.#world.disk.freeBytes = Number.POSITIVE_INFINITY;
    this.#world.isDiskFull = false;
    this.#world.history.note('diskMended');
  }

  #breakDisk(): void {
    const operation = this.#random.pick(['write', 'datasync', 'syncFolder', 'rename'] as const);
    this.#world.diskFault = { operation, fault: { code: 'EIO', written: this.#random.int(0, 500) } };
    this.#world.history.note('diskFails', operation);
  }

  // --- the end of the bad days

  /** From now on nothing goes wrong any more, and nobody is paused. */
  heal(): void {
    const world = this.#world;
    this.#phase = 'healing';
    this.#healedAt = world.time.now;
    world.isHealed = true;
    world.fullscript.faults.switchAllOff();
    this.#mendDisk();
    world.diskFault = null;
    for (const endpoint of world.network.endpoints.values()) endpoint.mood = 'fine';
    const running = this.#running;
    // The next process begins with the right clock.
    if (running && world.plan.isClockJumping) running.life.end('kill');
    else if (running) this.#healRelay(running);
  }

  #healRelay(running: Running): void {
    running.life.doom = null;
    running.life.freezesAtSendMs = 0;
    this.#do('heal', async () => {
      const { store } = running.rooms;
      await this.#reconnect(running);
      for (const clinic of await store.clinics()) await store.saveClinic({ ...clinic, isPaused: false });
      for (const { id, deletedAt } of (await store.subscribers()).subscribers) {
        if (deletedAt !== null) continue;
        await store.resumeSubscriber(id, { lift: reasonsLiftedByResume, backlog: 'deliver' });
      }
      running.rooms.poller.wake();
    });
  }

  /** Everything was read, and everything that is owed was delivered, by a replay where that takes one. */
  async isSettled(): Promise<boolean> {
    const running = this.#running;
    if (!running || running.life.isFrozen || this.#phase === 'bad') return false;
    const { store } = running.rooms;
    await this.#watchConnections(running);
    const { failed, pending, held } = await this.#openCounts(running);
    // An answer of the bad days may come late and pause a subscriber; a frozen process hears nobody.
    const isPaused = (await store.clinics()).some((clinic) => clinic.isPaused);
    if (held > 0 || isPaused) this.#healRelay(running);
    const { witness, fullscript } = this.#world;
    const listedAt = Math.max(0, ...fullscript.ledger().map(({ listableAt }) => listableAt));
    const isRead = (await store.streams()).every(({ clinicId, category }) => {
      const polledAt = witness.polledAt.get(keyOf(clinicId, category)) ?? 0;
      return polledAt > Math.max(this.#healedAt, listedAt) + longestPollMs;
    });
    const isIdle = (await store.jobs()).every(({ state }) => state !== 'running');
    if (!isRead || !isIdle || pending + held > 0) return false;
    if (failed === 0) return true;
    this.#phase = 'replaying';
    this.#replay('failed');
    this.#replay('skipped');
    return false;
  }

  async #watchConnections(running: Running): Promise<void> {
    const connections = await running.rooms.store.connections();
    if (connections.some(({ state }) => state !== 'working')) await this.#reconnect(running);
  }

  async #openCounts({ rooms }: Running) {
    const { subscribers } = await rooms.store.subscribers();
    const living = subscribers.filter(({ deletedAt }) => deletedAt === null).map(({ id }) => id);
    return rooms.store.deliveryCounts(living);
  }

  /** For the message of a run that does not settle. */
  async unrest(): Promise<string> {
    const running = this.#running;
    if (!running) return 'no process is up';
    const streams = (await running.rooms.store.streams()).map(
      ({ category, problem, polledAt, nextPollAt, isOff }) =>
        `${category}: ${problem}, off ${isOff}, polled ${polledAt}, next ${nextPollAt}`,
    );
    const connections = (await running.rooms.store.connections()).map(({ state }) => state);
    return JSON.stringify([this.#world.time.now, await this.#openCounts(running), streams, connections]);
  }

  /** Stops the last process tidily; what its store said just before. */
  async stopAndDump(): Promise<Dump | null> {
    const running = this.#running;
    if (!running) return null;
    const { rooms, life } = running;
    await rooms.stop();
    const dump = await dumpOf(rooms.store);
    await rooms.store.close();
    life.end('stop');
    return dump;
  }
}

const shares = [
  ['event', 40],
  ['burst', 3],
  ['mood', 10],
  ['vendorFault', 8],
  ['add', 2],
  ['delete', 1],
  ['pause', 2],
  ['resume', 5],
  ['move', 2],
  ['rotate', 2],
  ['replayFailed', 2],
  ['replaySkipped', 1],
  ['replayDelivered', 1],
  ['again', 3],
  ['pollSoon', 4],
  ['pauseClinic', 1],
  ['resumeClinic', 3],
  ['reconnect', 4],
  ['kill', 2],
  ['powerCut', 3],
  ['stop', 1],
  ['freeze', 3],
  ['doom', 5],
  ['diskFull', 2],
  ['diskFails', 1],
] as const;

type Action = (typeof shares)[number][0];

const allShares = shares.reduce((sum, [, share]) => sum + share, 0);

function hostOf(subscriberId: string): string {
  return subscriberId;
}

function inventSecret(random: Random): string {
  return `whsec_${Buffer.from(random.hex(48), 'hex').toString('base64')}`;
}
