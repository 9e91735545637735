import type { Clock } from '../../src/clock.ts';
import type { Post } from '../../src/delivery/post.ts';
import { ClaimLost } from '../../src/domain/errors.ts';
import type { VendorHttp } from '../../src/source/vendor-http.ts';
import type { Disk } from '../../src/store/file/disk.ts';
import type { Store } from '../../src/store/store.ts';
import type { Invariant } from './history.ts';

/** A bug put in on purpose, to see that the simulation finds it. */
export interface Mutant {
  readonly name: string;
  /** Any of these may be the first that no longer holds. */
  readonly breaks: readonly Invariant[];
  readonly store?: (store: Store) => Store;
  readonly disk?: (disk: Disk) => Disk;
  readonly http?: (http: VendorHttp) => VendorHttp;
  readonly post?: (post: Post) => Post;
  readonly clock?: (clock: Clock) => Clock;
}

/** The cursor is moved, and what was read is recorded afterwards. */
const cursorFirst: Mutant = {
  name: 'the cursor first',
  breaks: ['the cursor stays behind what is recorded'],
  store: (store) => {
    const kept = new Map<string, Parameters<Store['recordEvents']>[]>();
    return {
      ...store,
      recordEvents: async (claim, batch) => {
        kept.set(claim.claimId, [...(kept.get(claim.claimId) ?? []), [claim, batch]]);
        return { kind: 'recorded', events: batch.events.length, deliveries: 0, differing: [] };
      },
      endPoll: async (claim, end) => {
        const stream = await store.endPoll(claim, end);
        const [again] = await store.claimPolls({ streams: [stream], leaseMs: 60_000 });
        for (const [, batch] of kept.get(claim.claimId) ?? []) {
          if (again) await store.recordEvents(again, batch);
        }
        kept.delete(claim.claimId);
        if (again) await store.endPoll(again, { kind: 'failed', problem: '', nextPollAt: stream.nextPollAt });
        return stream;
      },
    };
  },
};

/** What is written counts as durable. */
const unsyncedAcknowledge: Mutant = {
  name: 'an acknowledgement before the sync',
  breaks: ['I4 what is told is durable', 'I5 it recovers by itself'],
  disk: (disk) => ({
    ...disk,
    async openForAppend(path) {
      const file = await disk.openForAppend(path);
      return {
        get length() {
          return file.length;
        },
        append: (bytes) => file.append(bytes),
        datasync: async () => {},
        truncate: (length) => file.truncate(length),
        assertUntouched: () => file.assertUntouched(),
        close: () => file.close(),
      };
    },
  }),
};

/** An event is parsed and written again on its way. */
const reserialisedBody: Mutant = {
  name: 'a body that was serialised again',
  breaks: ['I3 ids and bytes are stable'],
  http: (http) => async (request) => {
    const answer = await http(request);
    if (answer.kind !== 'answered' || answer.status !== 200 || !/events\/[^?]+$/.test(request.url))
      return answer;
    try {
      return { ...answer, body: Buffer.from(JSON.stringify(JSON.parse(answer.body.toString()))) };
    } catch {
      return answer;
    }
  },
};

/**
 * Whoever lost a claim takes the next one and records its old result under that. Leases
 * are short and not renewed, or hardly a claim would ever be lost.
 */
const claimLostIgnored: Mutant = {
  name: 'a lost claim ignored',
  breaks: ['the log tells the truth'],
  store: (store) => {
    const leaseMs = 1_000;
    return {
      ...store,
      renew: async (claims) => claims,
      claimDeliveries: (ask) => store.claimDeliveries({ ...ask, leaseMs }),
      recordAttempt: async (claim, result) => {
        try {
          return await store.recordAttempt(claim, result);
        } catch (error) {
          if (!(error instanceof ClaimLost)) throw error;
          const slotsBySubscriber = new Map([[claim.subscriber.id, 1]]);
          const [next] = await store.claimDeliveries({ slotsBySubscriber, leaseMs });
          if (!next) throw error;
          return store.recordAttempt(next, result);
        }
      },
    };
  },
};

/** A request whose connection broke is repeated behind the back of the log. */
const attemptRepeated: Mutant = {
  name: 'an attempt made twice under one number',
  breaks: ['I3 ids and bytes are stable'],
  post: (post) => async (request) => {
    const first = await post(request);
    return first.kind === 'unreachable' ? post(request) : first;
  },
};

/** Names of files count as durable. */
const unsyncedNames: Mutant = {
  name: 'a rename that nobody syncs',
  breaks: ['I4 what is told is durable', 'I5 it recovers by itself'],
  disk: (disk) => ({ ...disk, syncFolder: async () => {} }),
};

/** Subscribers that ask for an order are sent whatever is due. */
const orderForgotten: Mutant = {
  name: 'an order that nobody keeps',
  breaks: ['a promised order is kept'],
  store: (store) => ({
    ...store,
    addSubscriber: (subscriber) => store.addSubscriber({ ...subscriber, order: null }),
  }),
};

const forgottenTimer: Mutant = {
  name: 'a timer that nobody cancels',
  breaks: ['I9 nothing is left behind'],
  clock: (clock) => ({
    ...clock,
    after: (delayMs, then) => {
      let isCancelled = false;
      clock.after(delayMs, () => {
        if (!isCancelled) then();
      });
      return () => {
        isCancelled = true;
      };
    },
  }),
};

const forgottenFile: Mutant = {
  name: 'a file that nobody closes',
  breaks: ['I9 nothing is left behind'],
  disk: (disk) => ({
    ...disk,
    async openForReading(path) {
      return { ...(await disk.openForReading(path)), close: async () => {} };
    },
  }),
};

const forgottenClaim: Mutant = {
  name: 'a claim that nobody ends',
  breaks: ['I9 nothing is left behind'],
  store: (store) => ({
    ...store,
    saveTokens: async (claim, tokens) => {
      const saved = await store.saveTokens(claim, tokens);
      await store.claimRefresh(claim.connection.id, 86_400_000);
      return saved;
    },
  }),
};

export const mutants: readonly Mutant[] = [
  cursorFirst,
  unsyncedAcknowledge,
  unsyncedNames,
  reserialisedBody,
  claimLostIgnored,
  attemptRepeated,
  orderForgotten,
  forgottenTimer,
  forgottenFile,
  forgottenClaim,
];
