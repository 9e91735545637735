import type { CallApi } from './relay-api.ts';

/** Events recorded on a UTC day, by the way that they came first. */
export interface IngestDayView {
  readonly day: string;
  readonly events: number;
  readonly pushedFirst: number;
  readonly polledFirst: number;
  readonly neverPushed: number;
  readonly differing: number;
}

/** @param days today and the days before it, 1 to 90. */
export async function ingestReport(
  call: CallApi,
  days: number,
): Promise<{ readonly data: readonly IngestDayView[] }> {
  const path = '/v1/ingest/report';
  return (await call({ method: 'GET', path, query: { days } })) as { data: readonly IngestDayView[] };
}
