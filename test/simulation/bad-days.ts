import { type Random, seededRandom, seedOf } from '../../src/sandbox/random.ts';
import { moods } from './endpoints.ts';
import type { Life } from './life.ts';
import type { Operator } from './operator.ts';
import { switchSomeFault } from './vendor-faults.ts';
import type { World } from './world.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** Lets one thing after the other happen: events, faults of all peers, ends of the process, a person's wishes. */
export class BadDays {
  readonly #world: World;
  readonly #operator: Operator;
  readonly #random: Random;

  constructor(world: World, operator: Operator) {
    this.#world = world;
    this.#operator = operator;
    this.#random = seededRandom(seedOf(world.seed, 'bad days'));
  }

  /** Goes on until the world is healed. */
  start(): void {
    const { time, plan } = this.#world;
    const next = () => {
      if (this.#world.isHealed) return;
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
    add: () => this.#operator.add(),
    delete: () => this.#operator.delete(),
    pause: () => this.#operator.pause(),
    resume: () => this.#operator.resume(),
    move: () => this.#operator.move(),
    rotate: () => this.#operator.rotate(),
    replayFailed: () => this.#operator.replay('failed'),
    replaySkipped: () => this.#operator.replay('skipped'),
    replayDelivered: () => this.#operator.replay('delivered'),
    again: () => this.#operator.startSomeRound(),
    pollSoon: () => this.#operator.pollSoon(),
    pauseClinics: () => this.#operator.setClinicsPaused(true),
    resumeClinics: () => this.#operator.setClinicsPaused(false),
    reconnect: () => this.#operator.reconnect(),
    stop: () => this.#operator.stop(),
    kill: () => this.#life?.end('kill'),
    powerCut: () => this.#life?.end('powerCut'),
    doom: () => this.#doom(),
    freeze: () => this.#freeze(),
    diskFull: () => this.#fillDisk(),
    diskFails: () => this.#breakDisk(),
  };

  get #life(): Life | null {
    return this.#operator.running?.life ?? null;
  }

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

  #doom(): void {
    const life = this.#life;
    if (life) life.doom = this.#world.doomAfter(life.operations, 60);
  }

  #freeze(): void {
    const life = this.#life;
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
    world.time.after(this.#random.int(10_000, 20 * minuteMs), () => world.mendDisk());
  }

  #breakDisk(): void {
    const operation = this.#random.pick(['write', 'datasync', 'syncFolder', 'rename'] as const);
    this.#world.diskFault = { operation, fault: { code: 'EIO', written: this.#random.int(0, 500) } };
    this.#world.history.note('diskFails', operation);
  }
}

/** How often each of them is chosen. */
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
  ['pauseClinics', 1],
  ['resumeClinics', 3],
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
