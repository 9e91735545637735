import type { StatusView, StreamView } from '../client/status.ts';
import { shownInstant } from './instant.ts';
import type { Printer } from './print.ts';
import { type Column, printTable } from './table.ts';

/** A gap is noticed when the stream is read again, 30 days behind its end; for so long it is named after that. */
const gapNamedMs = 60 * 86_400_000;

/** What was lost because it was not read in time. */
export function gapNeeds({ at, clinics, streams }: StatusView): readonly string[] {
  const names = new Map(clinics.map(({ id, name }) => [id, name]));
  return streams.flatMap(({ clinicId, category, gap }) => {
    if (gap === null || Date.parse(at) - Date.parse(gap.until) > gapNamedMs) return [];
    const when = `from ${shownInstant(gap.from)} to ${shownInstant(gap.until)}`;
    return [
      `${category} of ${names.get(clinicId) ?? clinicId} ${when} were not read in time: Fullscript lists 30 days.`,
    ];
  });
}

/** From when to when each stream is read completely, the one that is furthest behind first. */
export function printStreams(
  to: Printer,
  names: ReadonlyMap<string, string>,
  streams: readonly StreamView[],
): void {
  if (streams.length === 0) {
    to.note('No stream is read yet.');
    return;
  }
  const columns: readonly Column<StreamView>[] = [
    { title: 'CLINIC', text: ({ clinicId }) => names.get(clinicId) ?? clinicId },
    { title: 'CATEGORY', text: ({ category }) => category },
    { title: 'STATE', text: ({ state }) => state },
    {
      title: 'COMPLETE FROM',
      text: ({ startAt, gap }) => shownInstant(gap?.until ?? startAt),
      isWhole: true,
    },
    { title: 'TO', text: ({ readUntil }) => shownInstant(readUntil), isWhole: true },
    { title: 'LATE', text: ({ lateSeconds }) => lateness(lateSeconds), isOptional: true },
  ];
  printTable(to, columns, [...streams].sort(byReadUntil));
}

function byReadUntil(a: StreamView, b: StreamView): number {
  return (a.readUntil ?? '').localeCompare(b.readUntil ?? '');
}

function lateness(seconds: number): string {
  if (seconds === 0) return '-';
  return seconds < 3_600 ? `${Math.ceil(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
}
