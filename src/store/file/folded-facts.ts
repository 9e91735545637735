import { StoreCorrupt } from '../../domain/errors.ts';
import { untriedHealth } from '../../domain/subscriber.ts';
import type { AttemptFact, FactOf, FoldedFact } from './facts.ts';
import { type State, streamKey } from './state.ts';
import type { Table } from './table.ts';

/** Puts a row of the folded part to what a fact says; `undefined` removes it. */
export type Fold = <Row>(table: Table<Row>, key: string, row: Row | undefined) => void;

/** What a fact that concerns the folded part alone does to it. @throws StoreCorrupt `journal_newer` */
export function applyFolded(state: State, fact: FoldedFact, fold: Fold): void {
  switch (fact.t) {
    case 'clinic':
      fold(state.clinics, fact.row.id, fact.row);
      break;
    case 'connection':
      fold(state.connections, fact.row.id, fact.row);
      break;
    case 'connectionGone':
      fold(state.connections, fact.id, undefined);
      break;
    case 'link':
      useLink(state, fact, fold);
      break;
    case 'revocation':
      fold(state.revocations, fact.row.id, fact.row);
      break;
    case 'revocationGone':
      fold(state.revocations, fact.id, undefined);
      break;
    case 'stream':
      fold(state.streams, streamKey(fact.row), fact.row);
      break;
    case 'setAside':
      fold(state.setAsides, `${streamKey(fact.row)}${fact.row.key}`, fact.row);
      break;
    case 'job':
      fold(state.jobs, fact.row.id, fact.row);
      break;
    case 'jobGone':
      fold(state.jobs, fact.id, undefined);
      break;
    case 'restored':
      fold(state.counters, 'restoredFrom', fact.takenAt);
      fold(state.counters, 'restoredAt', fact.restoredAt);
      break;
    case 'tokenKey':
      fold(state.tokenKeys, fact.row.id, fact.row);
      break;
    case 'tokenKeyGone':
      fold(state.tokenKeys, fact.id, undefined);
      break;
    case 'revoked':
      fold(state.revoked, fact.jti, fact.until);
      break;
    case 'budget':
      reserve(state, fact, fold);
      break;
    case 'subscriber':
      setSubscriber(state, fact, fold);
      break;
    case 'fileGone':
      fold(state.bodyFiles, fact.file, 'gone');
      break;
    case 'bodiesGone':
      fold(state.counters, 'bodiesFrom', fact.before);
      break;
    case 'retained':
      retain(state, fact, fold);
      break;
    default:
      throw unknownFact(fact);
  }
}

/** What an attempt means for its subscriber. */
export function applyHealth(state: State, subscriberId: string, fact: AttemptFact, fold: Fold): void {
  const endedAt = fact.at + fact.ms;
  if (fact.health) fold(state.healths, subscriberId, { ...untriedHealth, ...fact.health });
  else if (fact.outcome.kind === 'accepted' && state.healths.has(subscriberId)) {
    fold(state.healths, subscriberId, { ...state.healthOf(subscriberId), lastSuccessAt: endedAt });
  }
  const row = fact.pause && state.subscribers.get(subscriberId);
  if (row && fact.pause) {
    const pauseReasons = [...new Set([...row.pauseReasons, fact.pause])];
    const pausedAt = row.pausedAt ?? endedAt;
    fold(state.subscribers, subscriberId, { ...row, pauseReasons, pausedAt });
  }
}

function setSubscriber(state: State, { row, health, bumped }: FactOf<'subscriber'>, fold: Fold): void {
  fold(state.subscribers, row.id, row);
  if (health) fold(state.healths, row.id, { ...untriedHealth, ...health });
  if (bumped) fold(state.counters, 'subscribersVersion', state.subscribersVersion + 1);
}

/** Blocks are taken in the order in which they end, but for a clock that was stepped: those end a little late. */
function reserve(state: State, { at, count, countsUntil }: FactOf<'budget'>, fold: Fold): void {
  for (const [key, block] of state.budget.entries()) {
    if (block.countsUntil > at) break;
    fold(state.budget, key, undefined);
  }
  const number = (state.counters.get('budgetBlocks') ?? 0) + 1;
  fold(state.counters, 'budgetBlocks', number);
  fold(state.budget, `block ${number}`, { at, count, countsUntil });
}

function useLink({ links }: State, { at, row }: FactOf<'link'>, fold: Fold): void {
  for (const [id, { keptUntil }] of [...links.entries()]) {
    if (keptUntil <= at) fold(links, id, undefined);
  }
  fold(links, row.id, row);
}

function retain(state: State, fact: FactOf<'retained'>, fold: Fold): void {
  fold(state.counters, 'retainedAt', fact.trustedAt);
  fold(state.counters, 'doubtedMs', fact.doubtedMs);
  for (const id of fact.jobs ?? []) fold(state.jobs, id, undefined);
  for (const jti of fact.tokens ?? []) fold(state.revoked, jti, undefined);
  for (const key of fact.setAsides ?? []) fold(state.setAsides, key, undefined);
}

/** A later version may record what this one knows nothing of; leaving it out would be a guess. */
function unknownFact(fact: never): StoreCorrupt {
  const { t } = fact as { t: unknown };
  return new StoreCorrupt('journal_newer', `The journal holds what this version does not know: "${t}".`, {
    hint: 'A newer version of the relay wrote it: start that version again.',
  });
}
