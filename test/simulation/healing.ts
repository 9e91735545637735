import type { StreamKey } from '../../src/domain/clinic.ts';
import { reasonsLiftedByResume } from '../../src/domain/subscriber.ts';
import { type Dump, dumpOf } from './dump.ts';
import { checkClaimsEnded, checkEnded } from './leftovers.ts';
import type { Operator, Running } from './operator.ts';
import { categories } from './relay.ts';
import { keyOf } from './witness.ts';
import type { World } from './world.ts';

/** A poll that began before something was listed has ended by then. */
const longestPollMs = 5 * 60_000;

/** The end of the bad days: nothing goes wrong any more, and everything has to come to rest. */
export class Healing {
  readonly #world: World;
  readonly #operator: Operator;
  #healedAt = 0;

  constructor(world: World, operator: Operator) {
    this.#world = world;
    this.#operator = operator;
  }

  begin(): void {
    const world = this.#world;
    this.#healedAt = world.time.now;
    world.heal();
    const { running } = this.#operator;
    if (!running) return;
    running.life.doom = null;
    running.life.freezesAtSendMs = 0;
    // The next process begins with the right clock.
    if (world.plan.isClockJumping) running.life.end('kill');
  }

  /** Everything was read, and everything that is owed was delivered, by a replay where that takes one. */
  async isSettled(): Promise<boolean> {
    const { running } = this.#operator;
    if (!running) return false;
    if (!(await this.#isUnhindered(running))) {
      this.#unhinder();
      return false;
    }
    const { store } = running.rooms;
    const { failed, pending, held } = await this.#counts(running);
    const isIdle = (await store.jobs()).every(({ state }) => state !== 'running');
    if (!(await this.#isRead(running)) || !isIdle || pending + held > 0) return false;
    if (failed === 0) return true;
    this.#operator.replay('failed');
    this.#operator.replay('skipped');
    return false;
  }

  async #isUnhindered({ rooms }: Running): Promise<boolean> {
    const { store } = rooms;
    const connections = await store.connections();
    const { subscribers } = await store.subscribers();
    return (
      connections.every(({ state }) => state === 'working') &&
      (await store.clinics()).every(({ isPaused }) => !isPaused) &&
      subscribers.every(({ deletedAt, pauseReasons }) => deletedAt !== null || pauseReasons.length === 0)
    );
  }

  /** More than once: an answer of the bad days may come late and pause somebody, a frozen process hears nobody. */
  #unhinder(): void {
    this.#operator.reconnect();
    this.#operator.setClinicsPaused(false);
    this.#operator.ask('resume all', async ({ rooms: { store } }) => {
      for (const { id, deletedAt } of (await store.subscribers()).subscribers) {
        if (deletedAt !== null) continue;
        await store.resumeSubscriber(id, { lift: reasonsLiftedByResume, backlog: 'deliver' });
      }
    });
  }

  async #isRead({ rooms }: Running): Promise<boolean> {
    const { witness, fullscript } = this.#world;
    const listedAt = Math.max(0, ...fullscript.ledger().map(({ listableAt }) => listableAt));
    const isRead = ({ clinicId, category }: StreamKey) => {
      const polledAt = witness.polledAt.get(keyOf(clinicId, category)) ?? 0;
      return polledAt > Math.max(this.#healedAt, listedAt) + longestPollMs;
    };
    // The relay may not have found a clinic yet when all heals, and follows none of its streams then.
    const streams = await rooms.store.streams();
    return streams.length === fullscript.clinics.length * categories.length && streams.every(isRead);
  }

  async #counts({ rooms }: Running) {
    const { subscribers } = await rooms.store.subscribers();
    const living = subscribers.filter(({ deletedAt }) => deletedAt === null).map(({ id }) => id);
    return rooms.store.deliveryCounts(living);
  }

  /** For the message of a run that does not settle. */
  async unrest(): Promise<string> {
    const { running } = this.#operator;
    if (!running) return 'no process is up';
    const streams = (await running.rooms.store.streams()).map(
      ({ category, problem, polledAt, nextPollAt, isOff }) =>
        `${category}: ${problem}, off ${isOff}, polled ${polledAt}, next ${nextPollAt}`,
    );
    const connections = (await running.rooms.store.connections()).map(({ state }) => state);
    return JSON.stringify([this.#world.time.now, await this.#counts(running), streams, connections]);
  }

  /** Stops the last process tidily; what its store said just before. */
  async stopAndDump(): Promise<Dump | null> {
    const { running } = this.#operator;
    if (!running) return null;
    const { rooms, life } = running;
    await rooms.stop();
    const dump = await dumpOf(rooms.store);
    await checkClaimsEnded(rooms.store, this.#world.history);
    await rooms.store.close();
    checkEnded(life, this.#world.history);
    life.end('stop');
    return dump;
  }
}
