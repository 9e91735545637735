import type { CallApi } from './relay-api.ts';
import type { OperationalTestView } from './views.ts';

export async function testOperationalEvents(call: CallApi): Promise<OperationalTestView> {
  return (await call({ method: 'POST', path: '/v1/operational-events/test' })) as OperationalTestView;
}
