import type { Clock } from '../../src/clock.ts';
import { createAddressGuard } from '../../src/delivery/address-guard.ts';
import { createWebhookSender, type WebhookSender } from '../../src/delivery/webhook-sender.ts';

/** The relay's own sender, allowed to dial loopback over plain http. */
export function loopbackSender(clock: Clock): WebhookSender {
  const guard = createAddressGuard({ allow: [], allowPrivateAddresses: true, allowHttp: true });
  return createWebhookSender({ guard, clock });
}
