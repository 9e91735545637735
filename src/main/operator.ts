import type { Config } from '../config.ts';
import type { AddressGuard } from '../delivery/address-guard.ts';
import { createWebhookSender } from '../delivery/webhook-sender.ts';
import { outcomeLabel } from '../domain/attempt.ts';
import { FailedDeliveries } from '../operations/failed-deliveries.ts';
import { Messenger } from '../operations/messenger.ts';
import { type AuditMissing, Watch } from '../operations/watch.ts';
import { asAuditJob } from '../source/audit-job.ts';
import type { JobStore } from '../store/store.ts';
import { type Shared, userAgent } from './shared.ts';

/** A stream is read every `pollSecondsMax` at the latest; three of them late is no jitter any more. */
const behindAfterPolls = 3;
const behindAfterMinMs = 15 * 60_000;

/** Puts together what tells the operator; `null` when the configuration names no URL for it. */
export function toOperator(config: Config, guard: AddressGuard, { store, clock, logger }: Shared) {
  const { operationalEvents, source, delivery } = config;
  if (operationalEvents === undefined) return null;
  const { url, format, secret } = operationalEvents;
  const sender = createWebhookSender({ guard, clock, proxy: delivery.proxy });
  const messenger = new Messenger({
    async post(request, signal) {
      const { timeoutMs } = delivery;
      const result = await sender.post({ url, ...request, timeoutMs, needsAnswerBody: false, signal });
      return result.kind === 'answered' ? result.status : outcomeLabel(result);
    },
    recipient: { format, secret: secret ?? null },
    clock,
    logger,
    userAgent,
  });
  const failed = new FailedDeliveries(clock, (event) => messenger.tell(event));
  const watch = new Watch({
    store,
    auditsMissing: (since) => auditsMissing(store, since),
    tell: (event) => messenger.tell(event),
    clock,
    logger,
    categories: source.categories,
    behindAfterMs: Math.max(behindAfterMinMs, behindAfterPolls * source.pollSecondsMax * 1000),
  });
  return {
    messenger,
    failed,
    watch,
    async stop() {
      await watch.stop();
      await messenger.stop();
      sender.close();
    },
  };
}

async function auditsMissing(store: Pick<JobStore, 'jobs'>, since: number): Promise<readonly AuditMissing[]> {
  return (await store.jobs())
    .map(asAuditJob)
    .filter((job) => job !== null)
    .filter(({ state, endedAt, progress }) => {
      return state === 'done' && (endedAt ?? 0) >= since && progress.counts.missing > 0;
    })
    .map(({ id, progress: { counts, repaired } }) => ({ auditId: id, missing: counts.missing, repaired }));
}
