import { basename } from 'node:path';
import type { Fact } from '../../src/store/file/facts.ts';
import { readLine } from '../../src/store/file/journal-line.ts';

/** What a fact of the journal means to somebody who pulls the plug. */
export const pointOfFact: Readonly<Record<Fact['t'] | 'header', string>> = {
  header: 'new part',
  event: 'record',
  claimed: 'claim',
  unclaimed: 'claim given back',
  attempt: 'attempt',
  round: 'replay',
  ended: 'skip or delete',
  connection: 'refresh',
  connectionGone: 'disconnection',
  link: 'link',
  revocation: 'revocation',
  revocationGone: 'revocation gone',
  clinic: 'clinic',
  subscriber: 'registration',
  stream: 'poll',
  setAside: 'set aside',
  job: 'job',
  jobGone: 'job gone',
  owed: 'backfill',
  withheld: 'seen import',
  pushed: 'push',
  bodyKept: 'fetched again',
  erased: 'erasure',
  fileGone: 'file gone',
  tokenKey: 'token key',
  tokenKeyGone: 'token key gone',
  restored: 'restored',
  budget: 'budget',
  revoked: 'token revoked',
  retained: 'retention',
  deliveriesGone: 'deliveries gone',
  eventsGone: 'ids gone',
  bodyMoved: 'body moved',
  excerptMoved: 'excerpt moved',
  bodiesGone: 'bodies gone',
};

/** The named points of a write to the journal: one batch may hold several. */
export function pointsOfLines(bytes: Buffer): ReadonlySet<string> {
  const points = new Set<string>();
  for (let start = 0, end = bytes.indexOf(10); end !== -1; start = end + 1, end = bytes.indexOf(10, start)) {
    const type = readLine(bytes.subarray(start, end))?.fact.t;
    if (type !== undefined && type in pointOfFact) points.add(pointOfFact[type as keyof typeof pointOfFact]);
  }
  return points;
}

/** The named point of a file that is not the journal; `null` for the journal's own. */
export function pointOfFile(path: string): string | null {
  const name = basename(path);
  if (name.startsWith('keys.json')) return 'keys';
  if (name.startsWith('checkpoint.json')) return 'checkpoint';
  if (name.endsWith('.sealed')) return 'bodies';
  if (name.includes('.index')) return 'index';
  if (name.endsWith('.tar') || name.endsWith('.unfinished')) return 'backup';
  if (name.includes('.torn')) return 'torn tail';
  return name.endsWith('.jsonl') ? null : 'folder';
}
