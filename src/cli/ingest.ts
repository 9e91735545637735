import type { Command } from 'commander';
import { type IngestDayView, ingestReport } from '../client/ingest.ts';
import { openSession } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { type Column, printTable } from './table.ts';
import { type CommonOptions, numberOption, verb } from './verb.ts';

interface ReportOptions extends CommonOptions {
  readonly days: number;
}

export function addIngest(program: Command, around: Surroundings): void {
  const group = program.command('ingest').description('Fullscript’s own webhooks, taken in beside polling');

  verb(group, 'report', 'by day, which way events came first, and how many came by polling only')
    .addOption(numberOption('--days <n>', 'so many days, today included', { min: 1, max: 90 }).default(7))
    .action(async (options: ReportOptions) => {
      const { call, to, asJson } = openSession(around, options);
      const report = await ingestReport(call, options.days);
      if (asJson) return to.json(report);
      if (report.data.length === 0) return to.note('Nothing was recorded on these days.');
      printTable(to, columns, report.data);
    });
}

const columns: readonly Column<IngestDayView>[] = [
  { title: 'DAY', text: ({ day }) => day, isWhole: true },
  { title: 'EVENTS', text: ({ events }) => String(events) },
  { title: 'WEBHOOK FIRST', text: ({ pushedFirst }) => String(pushedFirst) },
  { title: 'POLL FIRST', text: ({ polledFirst }) => String(polledFirst) },
  { title: 'NO WEBHOOK', text: ({ neverPushed }) => String(neverPushed) },
  { title: 'DIFFERING', text: ({ differing }) => String(differing) },
];
