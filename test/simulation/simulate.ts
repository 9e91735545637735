import { RelayError, StoreBroken, StoreUnavailable } from '../../src/domain/errors.ts';
import { silentLogger } from '../../src/logger.ts';
import { seededRandom, seedOf } from '../../src/sandbox/random.ts';
import { openFileStore } from '../../src/store/file/file-store.ts';
import type { Retained } from '../../src/store/file/retention.ts';
import { BadDays } from './bad-days.ts';
import { checkReopened, checkSettled } from './checks.ts';
import { dumpOf } from './dump.ts';
import { Healing } from './healing.ts';
import type { History, Violation } from './history.ts';
import { checkBounds, watchWarnings } from './leftovers.ts';
import { type End, Life } from './life.ts';
import { mortalDisk } from './mortal-disk.ts';
import type { Mutant } from './mutants.ts';
import { Operator } from './operator.ts';
import { startRooms } from './relay.ts';
import { vendorHttpOf } from './vendor.ts';
import { World } from './world.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** How long everything goes wrong; the seed decides when absent. */
  readonly days?: number;
  readonly mutant?: Mutant;
}

export interface SimulationResult {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly digest: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly lines: readonly string[];
}

const minuteMs = 60_000;
/** Schedules and pauses are short here; nothing that is healed waits longer. */
const healingMs = 86_400_000;

/** One relay through some bad days: the same seed gives the same days. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const simulation = new Simulation(options);
  const stopWatching = watchWarnings(simulation.history);
  return simulation.run().finally(stopWatching);
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #world: World;
  readonly #operator: Operator;
  readonly #healing: Healing;
  #lives = 0;
  #excused = 0;
  #isOver = false;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#world = new World(options.seed, options.days);
    this.#operator = new Operator(this.#world);
    this.#healing = new Healing(this.#world, this.#operator);
  }

  get history(): History {
    return this.#world.history;
  }

  async run(): Promise<SimulationResult> {
    const world = this.#world;
    const { time, history, plan } = world;
    this.#begin();
    new BadDays(world, this.#operator).start();
    await this.#until(async () => false, plan.badMs);
    this.#healing.begin();
    history.note('healed');
    const isSettled = await this.#until(() => this.#healing.isSettled(), healingMs);
    if (!isSettled && !this.#isOver) {
      const unrest = await time.whileWorking(this.#healing.unrest());
      history.violate('I1 nothing is lost', `it does not come to rest: ${unrest?.value}`);
    }
    if (!this.#isOver) await this.#inspectAtTheEnd();
    const { violations, counts, lines } = history;
    history.note('over', time.now);
    return { seed: this.#options.seed, violations, digest: history.digest(), counts, lines };
  }

  /** Lets time pass until the condition holds, at most so long. */
  async #until(isMet: () => Promise<boolean>, atMostMs: number): Promise<boolean> {
    const { time, history } = this.#world;
    const end = time.now + atMostMs;
    while (time.now < end) {
      if (history.violations.length > 0) this.#isOver = true;
      if (this.#isOver) return false;
      await time.advance(Math.min(5 * minuteMs, end - time.now));
      const { running } = this.#operator;
      if (running) checkBounds(running.life, history);
      if ((await time.whileWorking(isMet()))?.value) return true;
    }
    return false;
  }

  #begin(): void {
    const world = this.#world;
    this.#lives += 1;
    const life = new Life({
      number: this.#lives,
      time: world.time,
      aheadMs: world.aheadMs(),
      doom: world.doomAtBirth(),
      onEnd: (end) => this.#ended(life, end),
    });
    world.history.note('begins', life.number);
    this.#live(life).catch((error: unknown) => this.#failed(life, error));
  }

  async #live(life: Life): Promise<void> {
    const world = this.#world;
    const { mutant } = this.#options;
    const random = seededRandom(seedOf(world.seed, `life ${life.number}`)).next;
    const disk = mortalDisk(world.disk, life, { syncMs: world.syncMs });
    const store = await openFileStore({
      path: '/data',
      masterKeys: { current: Buffer.alloc(32, 7), previous: null },
      disk: mutant?.disk?.(disk) ?? disk,
      lock: () => () => {},
      clock: life.clock,
      random,
      partBytes: world.plan.partBytes,
      ...(world.plan.retention && {
        retention: { ...world.plan.retention, onRetained: (look) => this.#retained(look) },
      }),
      onTrouble: (trouble) => {
        if (trouble instanceof StoreBroken) this.#failed(life, trouble);
      },
    });
    if (store.recovery.cut) world.history.note('cut', store.recovery.cut.bytes);
    checkReopened(await dumpOf(store), world);
    const post = world.network.postOf(life);
    const http = vendorHttpOf(life, world);
    const watched = world.witness.watch(store, life);
    const rooms = await startRooms({
      store: mutant?.store?.(watched) ?? watched,
      post: mutant?.post?.(post) ?? post,
      http: mutant?.http?.(http) ?? http,
      clock: mutant?.clock?.(life.clock) ?? life.clock,
      random,
      logger: silentLogger,
      requestsPerFiveMinutes: world.plan.requestsPerFiveMinutes,
      pollSecondsMin: world.plan.pollSecondsMin,
      clinics: world.declaredClinics,
      onFatal: (error) => this.#failed(life, error),
    });
    this.#operator.takeOver({ life, rooms });
  }

  #retained(look: Retained | Error): void {
    const { history } = this.#world;
    // It tries again in a minute.
    if (look instanceof StoreUnavailable) {
      history.note('retention put off', look.code);
      return;
    }
    if (look instanceof Error) {
      history.violate('I5 it recovers by itself', `retention: ${look.message}`);
      return;
    }
    const { deliveries, events, bodyFiles, moved } = look;
    history.note('retained', deliveries, events, bodyFiles, moved);
  }

  /** A process that cannot go on ends by itself; the next one has to recover. */
  #failed(life: Life, error: unknown): void {
    if (life.isOver) return;
    const { history } = this.#world;
    const code = error instanceof RelayError ? error.code : String(error);
    history.note('fails', life.number, code);
    const isExpected =
      error instanceof StoreBroken ||
      error instanceof StoreUnavailable ||
      (code === 'store_unusable' && (this.#world.isDiskFull || this.#isInjected()));
    if (!isExpected) {
      const stack = error instanceof Error ? `${error.message} ${error.stack}` : String(error);
      history.violate('I5 it recovers by itself', `${code}: ${stack}`);
    }
    life.end('kill');
  }

  /** A fault of the disk that was asked for excuses one end. */
  #isInjected(): boolean {
    this.#excused += 1;
    return this.#excused <= this.#world.diskFaultsStruck;
  }

  #ended(life: Life, end: End): void {
    const { history, time, random } = this.#world;
    history.note('ends', life.number, end, life.operations);
    this.#operator.takeOver(null);
    this.#world.loseMemory(end);
    if (this.#isOver) return;
    time.after(random.next() < 0.8 ? random.int(1_000, 30_000) : random.int(60_000, 3_600_000), () =>
      this.#begin(),
    );
  }

  async #inspectAtTheEnd(): Promise<void> {
    const world = this.#world;
    this.#isOver = true;
    const stopped = await world.time.whileWorking(this.#healing.stopAndDump());
    if (!stopped) return world.history.violate('I5 it recovers by itself', 'it does not stop');
    const before = stopped.value;
    const open = async () => {
      const life = new Life({ number: 0, time: world.time, aheadMs: 0, doom: null, onEnd: () => {} });
      const store = await openFileStore({
        path: '/data',
        masterKeys: { current: Buffer.alloc(32, 7), previous: null },
        disk: world.disk,
        lock: () => () => {},
        clock: life.clock,
        random: () => 0,
        partBytes: world.plan.partBytes,
        onTrouble: () => {},
      });
      const { interrupted } = store.recovery;
      if (before && interrupted > 0) {
        world.history.violate('I9 nothing is left behind', `${interrupted} attempts after a tidy stop`);
      }
      return dumpOf(store);
    };
    const once = await open();
    const twice = await open();
    checkSettled(once, world);
    const text = (dump: typeof once) => JSON.stringify({ ...dump, attempts: [...dump.attempts] });
    if (text(once) !== text(twice)) {
      world.history.violate('I5 it recovers by itself', 'a second opening shows another state');
    }
    if (before && text(before) !== text(once)) {
      world.history.violate('I4 what is told is durable', 'a tidy stop and start shows another state');
    }
    const { violations } = world.fullscript.requests();
    if (violations > world.foreignRequests && !world.plan.isClockJumping) {
      world.history.violate('the budget is kept', `${violations} requests beyond the limit`);
    }
  }
}
