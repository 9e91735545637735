import type { Config } from '../config.ts';
import type { AddressGuard } from '../delivery/address-guard.ts';
import { createWebhookSender } from '../delivery/webhook-sender.ts';
import { outcomeLabel } from '../domain/attempt.ts';
import { sentenceOf } from '../domain/operational-event.ts';
import { FailedDeliveries } from '../operations/failed-deliveries.ts';
import { Messenger } from '../operations/messenger.ts';
import { type AuditMissing, Watch } from '../operations/watch.ts';
import { asAuditJob } from '../source/audit-job.ts';
import type { JobStore } from '../store/store.ts';
import { type Shared, userAgent } from './shared.ts';

/** A stream is read every `pollSecondsMax` at the latest; three of them late is no jitter any more. */
const behindAfterPolls = 3;
const behindAfterMinMs = 15 * 60_000;

/**
 * Puts together what watches over the relay and tells the operator what is wrong: that a
 * clinic is behind in the log, too, and all of it to the URL that the configuration names.
 */
export function toOperator(config: Config, guard: AddressGuard, shared: Shared) {
  const { store, clock, logger } = shared;
  const { categories, pollSecondsMax, overlapDays } = config.source;
  const courier = courierOf(config, guard, shared);
  const watch = new Watch({
    store,
    auditsMissing: (since) => auditsMissing(store, since),
    tell(event) {
      // Whatever else is told, whoever found it has put into the log.
      if (event.type === 'relay.stream.behind') {
        const { clinicId, daysLeft } = event.data;
        logger.warn(sentenceOf(event), { clinicId, daysLeft });
      }
      courier?.messenger.tell(event);
    },
    clock,
    logger,
    categories,
    overlapDays,
    behindAfterMs: Math.max(behindAfterMinMs, behindAfterPolls * pollSecondsMax * 1000),
  });
  return {
    /** `null` when the configuration names no URL, as `failed`. */
    messenger: courier?.messenger ?? null,
    failed: courier?.failed ?? null,
    watch,
    async stop() {
      await watch.stop();
      await courier?.stop();
    },
  };
}

function courierOf(config: Config, guard: AddressGuard, { clock, logger }: Shared) {
  const { operationalEvents, delivery } = config;
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
  return {
    messenger,
    failed: new FailedDeliveries(clock, (event) => messenger.tell(event)),
    async stop() {
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
