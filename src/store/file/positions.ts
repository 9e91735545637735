import { InvalidInput, RelayError } from '../../domain/errors.ts';
import type { EventPosition } from '../store.ts';
import type { EventRows } from './kinds.ts';

/** The position before row `number`: it names the row before that, so that another log is noticed. */
export function positionBefore(events: EventRows, number: number): EventPosition {
  return `${number}-${markOf(events, number - 1)}`;
}

/**
 * The number of the row that follows a position.
 *
 * @throws InvalidInput `bad_position`
 * @throws RelayError `position_gone`
 */
export function rowAfter(events: EventRows, position: EventPosition): number {
  const [, digits, mark] = /^(\d{1,15})-([0-9a-f]{8})$/.exec(position) ?? [];
  if (digits === undefined) {
    throw new InvalidInput('bad_position', 'The position is not one that this relay gave.', {
      hint: 'Leave it out to begin with what comes from now on.',
    });
  }
  const number = Number(digits);
  const isKnown = number === 0 ? isWhole(events) : number <= events.end && events.isThere(number - 1);
  const isNothingMissing = isKnown ? markOf(events, number - 1) === mark : number === events.end;
  if (isNothingMissing) return number;
  throw new RelayError(
    'position_gone',
    'What came after that position is not kept any more, or it is of another log.',
    { hint: 'Leave it out to begin with what comes from now on, or say since when: `since`.' },
  );
}

/** Nothing has gone from its beginning yet. */
function isWhole(events: EventRows): boolean {
  return events.end === 0 || events.isThere(0);
}

/** Of the id of the event there; ids of events are opaque and may be long. */
function markOf(events: EventRows, number: number): string {
  const key = number < 0 ? 0 : events.markOf(number);
  return key.toString(16).padStart(8, '0');
}
