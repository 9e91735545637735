import { createHash } from 'node:crypto';
import type { SetAside } from '../domain/clinic.ts';
import type { Logger } from '../logger.ts';
import type { PollClaim, PollStore, UnreadableItem } from '../store/store.ts';
import type { ListItem } from './events-api.ts';

export interface SetAsidesDependencies {
  readonly store: Pick<PollStore, 'setAside' | 'setAsides'>;
  readonly logger: Logger;
  readonly now: number;
}

/** The longest id of an event that is taken in. */
export const idLengthMax = 10_000;
/** What was set aside for good is looked at once a day. */
const lookAgainMs = 86_400_000;

/** What one stream has set aside, as it was when its poll began. */
export class SetAsides {
  readonly #claim: PollClaim;
  readonly #with: SetAsidesDependencies;
  readonly #known: ReadonlyMap<string, SetAside>;

  static async of(claim: PollClaim, dependencies: SetAsidesDependencies): Promise<SetAsides> {
    const { clinicId, category } = claim.stream;
    const items = (await dependencies.store.setAsides()).filter(
      (item) => item.clinicId === clinicId && item.category === category,
    );
    return new SetAsides(claim, dependencies, new Map(items.map((item) => [item.key, item])));
  }

  private constructor(
    claim: PollClaim,
    dependencies: SetAsidesDependencies,
    known: ReadonlyMap<string, SetAside>,
  ) {
    this.#claim = claim;
    this.#with = dependencies;
    this.#known = known;
  }

  isKnown(key: string): boolean {
    return this.#known.has(key);
  }

  isLeftAlone(key: string): boolean {
    const item = this.#known.get(key);
    return item?.isFinal === true && Math.abs(this.#with.now - item.lastTriedAt) < lookAgainMs;
  }

  /** @returns whether a later poll may still read it, so that the cursor has to wait. */
  async add(item: UnreadableItem): Promise<boolean> {
    if (this.isLeftAlone(item.key)) return false;
    const { store, logger } = this.#with;
    const { clinicId, category } = this.#claim.stream;
    const { isFinal, tries } = await store.setAside(this.#claim, item);
    logger.warn(isFinal ? 'An item was set aside.' : 'An event cannot be retrieved; it is tried again.', {
      clinicId,
      category,
      eventId: item.eventId,
      reason: item.reason,
      detail: item.detail,
      tries,
    });
    return !isFinal;
  }
}

/** Why an item as it is listed cannot be taken in; `null` when it can. */
export function unreadableItem(
  { id, clinicId, digest }: ListItem,
  clinicOfStream: string,
): UnreadableItem | null {
  if (id === null) {
    const detail = 'the list names it without an id that can be used';
    return { key: `sha256:${digest}`, eventId: null, reason: 'noId', detail };
  }
  if (id.length > idLengthMax) {
    const key = `sha256:${createHash('sha256').update(id).digest('hex')}`;
    return { key, eventId: null, reason: 'tooLarge', detail: `its id has ${id.length} characters` };
  }
  return ofAnotherClinic({ id, clinicId }, clinicOfStream);
}

/** An event that names another clinic than the one it was listed for; `null` when it names none. */
export function ofAnotherClinic(
  { id, clinicId }: { readonly id: string; readonly clinicId: string | null },
  clinicOfStream: string,
): UnreadableItem | null {
  if (clinicId === null || clinicId === clinicOfStream) return null;
  const detail = `it says that it belongs to clinic ${clinicId}`;
  return { key: id, eventId: id, reason: 'otherClinic', detail };
}
