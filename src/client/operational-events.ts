import type { CallApi } from './relay-api.ts';

export interface OperationalTestView {
  readonly taken: boolean;
  /** The status, or why there was none. */
  readonly answer: number | string;
}

export async function testOperationalEvents(call: CallApi): Promise<OperationalTestView> {
  return (await call({ method: 'POST', path: '/v1/operational-events/test' })) as OperationalTestView;
}
