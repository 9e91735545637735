import type { DeliveryView } from '../../src/client/deliveries.ts';
import type { PageView } from '../../src/client/pages.ts';
import type { CallApi } from '../../src/client/relay-api.ts';
import type { Town } from './town.ts';

/**
 * Lets happen at the clinics, and asks of the relay, what makes every durable step come
 * by. Whatever is under way when the process ends was not told to be done.
 */
export async function stir(town: Town, call: CallApi, life: number): Promise<void> {
  const { random } = town;
  const { faults, clinics } = town.sandbox.fullscript;
  for (let made = random.int(2, 5); made > 0; made--) town.happen();
  // A token that ends makes the relay renew it; an item that cannot be read is set aside for a while.
  faults.switchOn({ name: 'unauthorized', times: 1 });
  faults.switchOn({ name: 'error-status', times: 1, status: 404, operation: 'retrieve' });
  const post = (path: string, body?: object) => town.post(call, path, body);
  await town.registerSome(call).catch(() => {});
  await post('/v1/replays', { state: 'delivered', since: instant(town, -3_000) });
  await post('/v1/tokens/revoke', { jti: `token-of-life-${life}` });
  const delivered = (await deliveredLately(town, call).catch(() => [])).filter(
    ({ eventId }) => !town.erased.has(eventId),
  );
  if (delivered.length > 0) await post(`/v1/deliveries/${random.pick(delivered).id}/replay`);
  const registered = (await town.subscribers(call).catch(() => [])).find(({ isDeclared }) => !isDeclared);
  if (registered) {
    await post(`/v1/subscribers/${registered.id}/pause`);
    town.happen();
    await post(`/v1/subscribers/${registered.id}/resume`, { backlog: 'deliver' });
  }
  for (const { id } of clinics) await post(`/v1/clinics/${id}/poll`);
}

async function deliveredLately(town: Town, call: CallApi): Promise<readonly DeliveryView[]> {
  // Those of long ago may not be kept.
  const query = { state: 'delivered', limit: 20, since: instant(town, -3_600_000) };
  return ((await call({ method: 'GET', path: '/v1/deliveries', query })) as PageView<DeliveryView>).data;
}

function instant(town: Town, fromNowMs: number): string {
  return new Date(town.now() + fromNowMs).toISOString();
}
