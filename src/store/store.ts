import type { BackfillStore } from './contract/backfills.ts';
import type { ClinicStore } from './contract/clinics.ts';
import type { DeliveryStore } from './contract/deliveries.ts';
import type { ErasureStore } from './contract/erasure.ts';
import type { BudgetStore, JobStore, RevokedTokenStore } from './contract/jobs.ts';
import type { LinkStore } from './contract/links.ts';
import type { LogStore } from './contract/log.ts';
import type { PollStore } from './contract/polls.ts';
import type { PushStore } from './contract/pushes.ts';
import type { RestorationStore } from './contract/restoration.ts';
import type { RevocationStore } from './contract/revocations.ts';
import type { SeenStore } from './contract/seen.ts';
import type { SubscriberStore } from './contract/subscribers.ts';
import type { TokenKeyStore } from './contract/token-keys.ts';

export type * from './contract/backfills.ts';
export type * from './contract/claim.ts';
export type * from './contract/clinics.ts';
export type * from './contract/deliveries.ts';
export type * from './contract/erasure.ts';
export type * from './contract/jobs.ts';
export type * from './contract/links.ts';
export type * from './contract/log.ts';
export type * from './contract/polls.ts';
export type * from './contract/pushes.ts';
export type * from './contract/restoration.ts';
export type * from './contract/revocations.ts';
export type * from './contract/seen.ts';
export type * from './contract/subscribers.ts';
export type * from './contract/token-keys.ts';

/**
 * What the relay remembers, and the only thing that lies between its two halves.
 *
 * Every method that changes something takes effect as a whole or not at all, and is
 * durable when it resolves. Reads show only what is durable. Instants are epoch
 * milliseconds of the store's own clock; leases are counted on a clock that never steps.
 * Whoever may throw `StoreUnavailable` decided nothing; after `StoreBroken` the process
 * has to end.
 *
 * Each part is what one user of the store needs; `test/store/contract.ts` holds every
 * store to all of it.
 */
export interface Store
  extends ClinicStore,
    LinkStore,
    RevocationStore,
    PollStore,
    SeenStore,
    PushStore,
    SubscriberStore,
    DeliveryStore,
    BackfillStore,
    LogStore,
    JobStore,
    BudgetStore,
    RevokedTokenStore,
    ErasureStore,
    TokenKeyStore,
    RestorationStore {
  /** Resolves when writes are taken at the moment; throws `StoreUnavailable` naming the reason. */
  assertWritable(): Promise<void>;
  /** Ends open work tidily and releases the store. Nothing may be called after it. */
  close(): Promise<void>;
}
