import type { ClinicInput } from '../../src/domain/clinic-input.ts';
import { historyMs } from '../../src/sandbox/event-log.ts';
import { Fullscript } from '../../src/sandbox/fullscript.ts';
import { type Random, seededRandom, seedOf } from '../../src/sandbox/random.ts';
import type { RetentionDays } from '../../src/store/file/retention.ts';
import { type DiskFault, type DiskOperation, SimulatedDisk } from '../world/disk.ts';
import { checkCursor, checkFate, type Evidence } from './checks.ts';
import { Departed } from './departed.ts';
import { History } from './history.ts';
import type { Doom, End } from './life.ts';
import { Network } from './network.ts';
import { SimulatedTime } from './time.ts';
import { Witness } from './witness.ts';

const startMs = Date.parse('2026-11-22T12:00:00Z');
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** What kind of days a seed brings. */
export interface Plan {
  /** How long everything goes wrong. */
  readonly badMs: number;
  readonly clinics: readonly string[];
  readonly subscribers: number;
  /** Between two things that happen. */
  readonly meanPauseMs: number;
  readonly requestsPerFiveMinutes: number;
  readonly pollSecondsMin: number;
  readonly pageSizeMax: number;
  /** The longest that a sync of the disk takes; 0 for at once. */
  readonly syncMsMax: number;
  /** The machine's clock may be another one after a start. */
  readonly isClockJumping: boolean;
  /** The share of processes that an operation of the disk ends. */
  readonly doomShare: number;
  /** A part of the journal that is longer is closed and indexed. */
  readonly partBytes: number;
  /** Of weeks, in which days are over; `null` in a few hours, in which none are. */
  readonly retention: RetentionDays | null;
}

/** The share of seeds in which days are over: a look at it follows each start. */
const retentionShare = 0.15;
const hour = 1 / 24;

/**
 * What has ended is deleted an hour later, and its text when the day changes, while things
 * break. A delivery is kept as long as the vendor may list its event in one more clinic,
 * which a configuration cannot but do. Clocks do not jump, so that it can be told what may
 * be gone.
 */
function shortMemory(plan: Plan): Plan {
  const deliveries = plan.clinics.length === 1 ? hour : historyMs / dayMs;
  const retention = { ids: hour, bodies: 0, deliveries };
  return { ...plan, badMs: 2 * plan.badMs, isClockJumping: false, retention };
}

function planOf(random: Random, days: number | undefined): Plan {
  const length = random.next();
  const hours = length < 0.95 ? random.int(1, 3) : length < 0.99 ? random.int(4, 9) : random.int(24, 60);
  const badMs = days === undefined ? hours * hourMs : days * dayMs;
  return {
    badMs,
    clinics: random.next() < 0.6 ? ['Washington'] : ['Washington', 'New York'],
    subscribers: random.int(1, 3),
    meanPauseMs: Math.round(badMs / random.int(40, 120)),
    requestsPerFiveMinutes: random.pick([60, 100, 400]),
    pollSecondsMin: random.pick([60, 300, 600]),
    pageSizeMax: random.pick([4, 20, 100]),
    syncMsMax: random.pick([0, 0, 30, 3_000]),
    isClockJumping: random.next() < 0.25,
    doomShare: random.pick([0, 0.3, 0.7]),
    partBytes: random.pick([1, 3_000, 30_000, 16_000_000]),
    retention: null,
  };
}

/** Everything outside the relay's process: true time, the disk, the vendor, the subscribers, and what happened so far. */
export class World implements Evidence {
  readonly seed: number;
  readonly random: Random;
  readonly plan: Plan;
  readonly time: SimulatedTime;
  readonly history: History;
  readonly witness: Witness;
  readonly network: Network;
  readonly fullscript: Fullscript;
  readonly pageSizeMax: number;
  readonly departed: Departed;
  disk: SimulatedDisk;
  isHealed = false;
  isDiskFull = false;
  /** What others asked of the vendor under the relay's name: each may push one request over the limit. */
  foreignRequests = 0;
  /** Lists had items without an id: what they name is not listed. */
  hasHiddenIds = false;
  /** The next such operation of the disk fails. */
  diskFault: { readonly operation: DiskOperation; readonly fault: DiskFault } | null = null;
  /** How many of them have struck. */
  diskFaultsStruck = 0;
  readonly #diskRandom: Random;

  constructor(seed: number, days?: number) {
    this.seed = seed;
    this.random = seededRandom(seedOf(seed, 'world'));
    this.disk = this.#watched(new SimulatedDisk());
    this.#diskRandom = seededRandom(seedOf(seed, 'disk'));
    const plan = planOf(seededRandom(seedOf(seed, 'plan')), days);
    const hasShortMemory = seededRandom(seedOf(seed, 'memory')).next() < retentionShare;
    this.plan = hasShortMemory ? shortMemory(plan) : plan;
    // The day changes an hour and a half later.
    this.time = new SimulatedTime(this.plan.retention ? startMs + 10.5 * hourMs : startMs);
    this.pageSizeMax = this.plan.pageSizeMax;
    this.history = new History(() => this.time.now);
    this.network = new Network(this.time, seededRandom(seedOf(seed, 'network')));
    this.fullscript = new Fullscript({
      clock: { now: () => this.time.now },
      seed,
      clinics: this.plan.clinics,
      limit: { requests: this.plan.requestsPerFiveMinutes, windowMs: 300_000 },
    });
    this.witness = new Witness(this.history, {
      polled: (stream) => checkCursor(stream, this),
      attempted: (key, outcome) => checkFate(key, outcome, this),
    });
    const { witness, fullscript } = this;
    this.departed = new Departed(this.plan.retention, { witness, fullscript, now: () => this.time.now });
  }

  #watched(disk: SimulatedDisk): SimulatedDisk {
    disk.hook = (operation) => {
      if (this.diskFault?.operation !== operation) return null;
      const { fault } = this.diskFault;
      this.diskFault = null;
      this.diskFaultsStruck += 1;
      return fault;
    };
    return disk;
  }

  get declaredClinics(): readonly ClinicInput[] {
    return this.fullscript.clinics.map(({ name, slug }) => ({
      name,
      accessToken: `sandbox-access-${slug}`,
      refreshToken: `sandbox-refresh-${slug}`,
    }));
  }

  readonly syncMs = (): number =>
    this.plan.syncMsMax === 0 ? 0 : this.#diskRandom.int(0, this.plan.syncMsMax);

  /** By how much the machine's clock is ahead of the true time, in the process that begins now. */
  aheadMs(): number {
    if (!this.plan.isClockJumping || this.isHealed || this.random.next() < 0.5) return 0;
    return this.random.pick([-3 * hourMs, -60_000, 60_000, 2 * hourMs, 40 * dayMs]);
  }

  doomAtBirth(): Doom | null {
    const { random } = this;
    if (this.isHealed || random.next() >= this.plan.doomShare) return null;
    return this.doomAfter(0, random.next() < 0.5 ? 40 : 400);
  }

  /** At one of the next `most` operations of the disk. */
  doomAfter(operations: number, most: number): Doom {
    const { random } = this;
    return {
      operation: operations + random.int(1, most),
      point: random.pick(['before', 'during', 'after'] as const),
      end: random.pick(['kill', 'powerCut'] as const),
    };
  }

  mendDisk(): void {
    this.disk.freeBytes = Number.POSITIVE_INFINITY;
    this.isDiskFull = false;
    this.history.note('diskMended');
  }

  /** From now on nothing outside goes wrong any more. */
  heal(): void {
    this.isHealed = true;
    this.fullscript.faults.switchAllOff();
    this.mendDisk();
    this.diskFault = null;
    for (const endpoint of this.network.endpoints.values()) endpoint.mood = 'fine';
  }

  /** The disk as the next process finds it. */
  loseMemory(end: End): void {
    const { freeBytes } = this.disk;
    const left = end === 'powerCut' ? this.disk.powerCut(this.#diskRandom.next) : this.disk.kill();
    this.disk = this.#watched(left);
    this.disk.freeBytes = freeBytes;
  }
}
