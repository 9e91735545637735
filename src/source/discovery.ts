import type { Clock } from '../clock.ts';
import type { Clinic, Connection } from '../domain/clinic.ts';
import { Conflict } from '../domain/errors.ts';
import { startOf } from '../domain/start-from.ts';
import type { Logger } from '../logger.ts';
import type { ClinicStore, PollStore } from '../store/store.ts';
import type { ClinicAccess } from './clinic-access.ts';
import type { VendorClinic } from './events-api.ts';
import type { ConnectionTokens } from './tokens.ts';

export interface DiscoveryDependencies {
  readonly store: Pick<ClinicStore, 'clinics' | 'saveClinic' | 'connections' | 'assignClinic'> &
    Pick<PollStore, 'follow' | 'streams'>;
  readonly access: ClinicAccess;
  readonly tokens: ConnectionTokens;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly categories: readonly string[];
  /** Where a new clinic's streams start when nothing else was chosen for it, given the vendor's present moment. */
  readonly startAt: (vendorNow: number) => number;
}

const discoveriesAtOnce = 4;
const firstRetryMs = 5_000;
const lastRetryMs = 300_000;

/**
 * Asks for the clinics of connections that are new or got other tokens, and follows their
 * categories: beside the polls, so that a vendor that hangs holds up nobody's events.
 */
export class Discovery {
  readonly #dependencies: DiscoveryDependencies;
  /** By connection. */
  readonly #underWay = new Map<string, Promise<void>>();
  /** Connection id → when its clinic is asked for again, and after what wait. */
  readonly #retries = new Map<string, { at: number; waitMs: number }>();
  /** Connections that got other tokens while their clinic was asked for: the answer is to the old ones. */
  readonly #outdated = new Set<string>();
  /** Clinics of which every category is followed: no stream ever goes. */
  readonly #complete = new Set<string>();

  constructor(dependencies: DiscoveryDependencies) {
    this.#dependencies = dependencies;
  }

  /** Begins what is to be done now; `onEnd` hears of each end, with what it threw. */
  async begin(onEnd: (error: unknown) => void): Promise<void> {
    const { store, access, clock } = this.#dependencies;
    const incomplete = await this.#incompleteClinics();
    const asked = (await store.connections()).filter(
      ({ id, clinicId, state }) =>
        state === 'working' && (clinicId === null || access.isSuspect(id) || incomplete.has(clinicId)),
    );
    this.#keepRetriesOf(asked);
    for (const connection of asked) {
      const { id } = connection;
      if (this.#underWay.size >= discoveriesAtOnce) return;
      if (this.#underWay.has(id) || (this.#retries.get(id)?.at ?? 0) > clock.now()) continue;
      const ended = this.#discover(connection).then(
        () => this.#end(id, null, onEnd),
        (error: unknown) => this.#end(id, error, onEnd),
      );
      this.#underWay.set(id, ended);
    }
  }

  /** The connection got other tokens: its clinic is asked for, at once, before it is used. */
  suspect(connectionId: string): void {
    this.#dependencies.access.suspect(connectionId);
    this.#retries.delete(connectionId);
    if (this.#underWay.has(connectionId)) this.#outdated.add(connectionId);
  }

  /** When the next one that failed is to be tried again; empty when none is. */
  get retriesAt(): readonly number[] {
    return [...this.#retries.values()].map(({ at }) => at);
  }

  get underWay(): readonly Promise<void>[] {
    return [...this.#underWay.values()];
  }

  /** One that was removed, or has to be authorized again, wakes nobody. */
  #keepRetriesOf(asked: readonly Connection[]): void {
    const ids = new Set(asked.map(({ id }) => id));
    for (const id of this.#retries.keys()) if (!ids.has(id)) this.#retries.delete(id);
  }

  #end(connectionId: string, error: unknown, onEnd: (error: unknown) => void): void {
    this.#underWay.delete(connectionId);
    onEnd(error);
  }

  async #discover(connection: Connection): Promise<void> {
    const { access, tokens, clock, logger } = this.#dependencies;
    const { id, name, clinicId } = connection;
    const { answer, accessToken } = await access.clinicOf(connection);
    if (this.#outdated.delete(id)) return;
    if (answer.kind !== 'clinic') {
      const waitMs = this.#retries.get(id)?.waitMs ?? firstRetryMs;
      this.#retries.set(id, { at: clock.now() + waitMs, waitMs: Math.min(waitMs * 2, lastRetryMs) });
      logger.warn('The clinic of a connection cannot be asked for; it is tried again.', {
        connectionId: id,
        name,
        answer: answer.kind,
      });
      return;
    }
    this.#retries.delete(id);
    if (clinicId !== null && clinicId !== answer.id) {
      await tokens.giveUp(id, accessToken, `its token belongs to another clinic now (${answer.id})`);
    } else {
      await this.#connect(id, accessToken, answer);
    }
  }

  /** A name never silently changes clinic; who has none takes the clinic's. */
  async #connect(
    connectionId: string,
    accessToken: string | null,
    { id, name: vendorName, vendorNow }: VendorClinic,
  ): Promise<void> {
    const { store, access, clock, logger, tokens } = this.#dependencies;
    const known = (await store.clinics()).find((clinic) => clinic.id === id);
    // It may have been removed or changed while the vendor was asked.
    const connection = (await store.connections()).find((each) => each.id === connectionId);
    if (connection === undefined || connection.state !== 'working') return;
    const { name, isUnnamed } = connection;
    if (known && known.name !== name && !isUnnamed) {
      const reason = `its token belongs to the clinic ${known.name}, not to ${name}`;
      await tokens.giveUp(connectionId, accessToken, reason);
      return;
    }
    const names = isUnnamed ? namesFor(id, vendorName) : [name];
    const clinic = known ?? (await this.#newClinic(id, names));
    if (clinic === null) {
      await tokens.giveUp(connectionId, accessToken, `the name ${name} belongs to another clinic`);
      return;
    }
    if (connection.clinicId === null) {
      // It may have been removed, or found out meanwhile.
      if (!(await store.assignClinic(connectionId, clinic))) return;
      logger.info('A clinic is connected.', { clinicId: id, name: clinic.name });
    }
    await this.#follow(id, vendorNow ?? clock.now(), connection.startFrom);
    if (this.#outdated.delete(connectionId)) return;
    access.trust(connectionId);
  }

  /** Called by the first of the names that no other clinic has; `null` when there is none. */
  async #newClinic(id: string, names: readonly string[]): Promise<Clinic | null> {
    const { store, clock } = this.#dependencies;
    for (const name of names) {
      const clinic = { id, name, isPaused: false, isRemoved: false, createdAt: clock.now() };
      try {
        await store.saveClinic(clinic);
        return clinic;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
    return null;
  }

  /** Clinics that lack the stream of a category: it was added to the configuration, and begins at the vendor's moment. */
  async #incompleteClinics(): Promise<ReadonlySet<string>> {
    const { store, categories } = this.#dependencies;
    const clinics = (await store.clinics()).filter(
      ({ id, isRemoved }) => !isRemoved && !this.#complete.has(id),
    );
    if (clinics.length === 0) return new Set();
    const followed = new Set(
      (await store.streams()).map(({ clinicId, category }) => `${category} ${clinicId}`),
    );
    for (const { id } of clinics) {
      if (categories.every((category) => followed.has(`${category} ${id}`))) this.#complete.add(id);
    }
    return new Set(clinics.map(({ id }) => id).filter((id) => !this.#complete.has(id)));
  }

  async #follow(clinicId: string, vendorNow: number, startFrom: string | undefined): Promise<void> {
    const { store, categories, startAt, logger } = this.#dependencies;
    const start = startFrom === undefined ? startAt(vendorNow) : startOf(startFrom, vendorNow);
    const isNew = !(await store.streams()).some((stream) => stream.clinicId === clinicId);
    if (isNew && start > vendorNow) {
      const words = 'The start of a clinic lies in the future; what is created before is not sent.';
      logger.warn(words, { clinicId, startAt: new Date(start).toISOString() });
    }
    await store.follow(
      clinicId,
      categories.map((category) => ({ category, startAt: start })),
    );
  }
}

/** As the vendor calls the clinic, as far as that can be a name; with something of its id when another one is called so. */
function namesFor(id: string, vendorName: string): readonly string[] {
  const [name, shownId] = [vendorName, id].map((text) => text.replace(/\p{C}/gu, '').slice(0, 180).trim());
  return name ? [name, `${name} ${shownId?.slice(0, 8)}`, id] : [id];
}
