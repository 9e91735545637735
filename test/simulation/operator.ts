import { newReplayJob } from '../../src/delivery/replay.ts';
import { Conflict, NotFound, StoreBroken, StoreUnavailable } from '../../src/domain/errors.ts';
import { reasonsLiftedByResume } from '../../src/domain/subscriber.ts';
import { type Random, seededRandom, seedOf } from '../../src/sandbox/random.ts';
import { Endpoint } from './endpoints.ts';
import { inventSecret, inventSubscriber, inventUrl } from './invent.ts';
import type { Life } from './life.ts';
import type { Rooms } from './relay.ts';
import { authorizeAgain } from './vendor.ts';
import type { World } from './world.ts';

export interface Running {
  readonly life: Life;
  readonly rooms: Rooms;
}

/** A person at the relay: asks of it whatever its API could be asked. */
export class Operator {
  readonly #world: World;
  readonly #random: Random;
  #running: Running | null = null;
  #made = 0;

  constructor(world: World) {
    this.#world = world;
    this.#random = seededRandom(seedOf(world.seed, 'operator'));
  }

  /** The process that is up and can be asked; `null` while none is. */
  get running(): Running | null {
    return this.#running?.life.isFrozen ? null : this.#running;
  }

  /** A process is up, or (`null`) is no more. */
  takeOver(running: Running | null): void {
    this.#running = running;
    while (running && this.#made < this.#world.plan.subscribers) this.add();
  }

  /** Asks it of the process that is up, if one is; what comes of it is only noted. */
  ask(name: string, what: (running: Running) => Promise<unknown> | unknown): void {
    const { running } = this;
    if (!running) return;
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

  #askOfSome(name: string, what: (store: Rooms['store'], id: string) => Promise<unknown>): void {
    const known = [...this.#world.witness.subscribers.values()].filter(({ deleted }) => deleted === null);
    if (known.length === 0) return;
    const { id } = this.#random.pick(known).subscriber;
    this.ask(`${name} ${id}`, ({ rooms }) => what(rooms.store, id));
  }

  add(): void {
    this.#made += 1;
    const { network, history, fullscript } = this.#world;
    const subscriber = inventSubscriber(this.#made, this.#world, this.#random);
    network.endpoints.set(
      subscriber.id,
      new Endpoint(subscriber, {
        history,
        random: seededRandom(seedOf(this.#world.seed, subscriber.id)),
        eventsOf: (eventId) => fullscript.ledger().filter(({ id }) => id === eventId),
      }),
    );
    this.ask('add', ({ rooms }) => rooms.store.addSubscriber(subscriber));
  }

  delete(): void {
    this.#askOfSome('delete', (store, id) => store.deleteSubscriber(id));
  }

  pause(): void {
    this.#askOfSome('pause', (store, id) => store.pauseSubscriber(id, 'person'));
  }

  resume(): void {
    const backlog = this.#random.next() < 0.8 ? 'deliver' : 'skip';
    this.#askOfSome(`resume ${backlog}`, (store, id) =>
      store.resumeSubscriber(id, { lift: reasonsLiftedByResume, backlog }),
    );
  }

  move(): void {
    this.#askOfSome('move', (store, id) => store.changeSubscriber(id, { url: inventUrl(id, this.#random) }));
  }

  rotate(): void {
    const value = inventSecret(this.#random);
    this.#askOfSome('rotate', (store, id) => {
      this.#world.network.endpoints.get(id)?.secrets.push(value);
      return store.changeSubscriber(id, { secrets: [{ value, expiresAt: null }] });
    });
  }

  replay(state: 'failed' | 'skipped' | 'delivered'): void {
    this.ask(`replay ${state}`, async ({ rooms, life }) => {
      const { subscribers } = await rooms.store.subscribers();
      const subscriberIds = subscribers.filter(({ deletedAt }) => deletedAt === null).map(({ id }) => id);
      const job = newReplayJob(
        { state, subscriberIds },
        { owner: 'owner', matched: 0, now: life.clock.now() },
      );
      await rooms.replayer.start(job);
    });
  }

  startSomeRound(): void {
    this.ask('again', async ({ rooms }) => {
      const { items } = await rooms.store.deliveries({}, { limit: 50, cursor: null });
      if (items.length > 0) await rooms.store.startRounds([this.#random.pick(items).id]);
    });
  }

  pollSoon(): void {
    this.ask('pollSoon', async ({ rooms }) => {
      for (const { id } of await rooms.store.clinics()) await rooms.store.pollSoon(id);
      rooms.poller.wake();
    });
  }

  setClinicsPaused(isPaused: boolean): void {
    this.ask(isPaused ? 'pauseClinics' : 'resumeClinics', async ({ rooms }) => {
      for (const clinic of await rooms.store.clinics()) await rooms.store.saveClinic({ ...clinic, isPaused });
      rooms.poller.wake();
    });
  }

  reconnect(): void {
    this.ask('reconnect', (running) => this.#reconnect(running));
  }

  /** Ends the process tidily, as a deploy does. */
  stop(): void {
    const { running } = this;
    if (!running) return;
    this.#running = null;
    const { rooms, life } = running;
    this.#world.history.note('stops', life.number);
    rooms
      .stop()
      .then(() => rooms.store.close())
      .catch(() => {})
      .finally(() => life.end('stop'));
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
}
