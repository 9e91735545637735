/** One copy of an event, as far as an inbox cares. */
export interface Copy {
  readonly eventId: string;
  /** 1, and 2 or more for a replay that is let through. Always 1 where replays are not. */
  readonly round: number;
  /** When the copy was signed, epoch milliseconds. */
  readonly signedAt: number;
}

/**
 * Remembers which events were handled. Three methods, so that it can be a table of your
 * own database; each is whole or not at all.
 */
export interface InboxStore {
  /**
   * Takes the right to handle this copy: `yours`. `handled` when one of this event was
   * handled in this round or a later one, or one that was signed as late or later (so
   * that nobody runs an old request again by calling it a replay). `busy` when another
   * process handles one now; a process that died must not keep it busy for ever.
   */
  claim(copy: Copy): Promise<'yours' | 'handled' | 'busy'>;
  /** It was handled: durable once this resolves. Called again if it rejected. */
  settle(copy: Copy): Promise<void>;
  /** It was not handled after all, and the next copy may be. */
  release(copy: Copy): Promise<void>;
}

/** `handled` by this copy or by one that it waited for; `duplicate` of one handled before. */
export type Receipt = 'handled' | 'duplicate' | 'busy';

/**
 * Runs the handler once for each event, however many copies come, one after another or
 * at once: copies that come meanwhile wait for the first one's result.
 */
export class Inbox {
  readonly #store: InboxStore;
  readonly #underWay = new Map<string, Promise<Receipt>>();
  /** Handled, while the store could not write it down. */
  readonly #unsettled = new Map<string, Copy>();

  constructor(store: InboxStore) {
    this.#store = store;
  }

  /** Rejects with what the handler or the store rejected with; the next copy then tries again. */
  receive(copy: Copy, handle: () => unknown): Promise<Receipt> {
    const first = this.#underWay.get(copy.eventId);
    if (first !== undefined) return first;
    const receipt = this.#receive(copy, handle).finally(() => this.#underWay.delete(copy.eventId));
    this.#underWay.set(copy.eventId, receipt);
    return receipt;
  }

  async #receive(copy: Copy, handle: () => unknown): Promise<Receipt> {
    // While the store takes nothing, no more is begun.
    for (const unsettled of this.#unsettled.values()) await this.#settle(unsettled);
    const claim = await this.#store.claim(copy);
    if (claim !== 'yours') return claim === 'handled' ? 'duplicate' : 'busy';
    try {
      await handle();
    } catch (error) {
      await this.#store.release(copy).catch((cause: unknown) => {
        throw new AggregateError([error, cause], 'The handler failed, and so did the inbox.');
      });
      throw error;
    }
    await this.#settle(copy);
    return 'handled';
  }

  async #settle(copy: Copy): Promise<void> {
    try {
      await this.#store.settle(copy);
      this.#unsettled.delete(copy.eventId);
    } catch (error) {
      this.#unsettled.set(copy.eventId, copy);
      throw error;
    }
  }
}
