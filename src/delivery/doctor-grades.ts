import { outcomeLabel } from '../domain/attempt.ts';
import { wireFormatOf } from '../wire/compose.ts';
import type { Recipient } from '../wire/wire-format.ts';
import { inWords } from './handshake.ts';
import type { Answered, PostResult } from './post.ts';

/** The points that a receiver is examined on, in their order. */
export const checkNames = [
  'handshake',
  'event',
  'duplicate',
  'reordered',
  'unknownType',
  'largeBody',
  'spelling',
  'unsigned',
  'badSignature',
  'oldTimestamp',
] as const;

export type CheckName = (typeof checkNames)[number];

/** `fix`: events get lost, come again without end, or can be forged. `warning`: it works, and is easily misread. */
export type Grade = 'good' | 'warning' | 'fix' | 'skipped';

export interface Finding {
  readonly check: CheckName;
  readonly grade: Grade;
  /** What was sent and what came back; holds nothing that was answered. */
  readonly message: string;
  /** What to do about it; `null` where nothing is to be done. */
  readonly hint: string | null;
}

export type HonestCheck = 'event' | 'duplicate' | 'reordered' | 'unknownType' | 'largeBody' | 'spelling';
export type ForgedCheck = 'unsigned' | 'badSignature' | 'oldTimestamp';

const whatWasSent: Readonly<Record<HonestCheck | ForgedCheck, string>> = {
  event: 'A plain event',
  duplicate: 'The same event a second time',
  reordered: 'An older event after a newer one',
  unknownType: 'An event of a type that nobody knows',
  largeBody: 'An event of 256 KiB',
  spelling: 'An event whose JSON is spelt in an unusual way',
  unsigned: 'An event without a signature',
  badSignature: 'An event signed with another secret',
  oldTimestamp: 'An event signed an hour ago',
};

const whatToDo: Readonly<Record<HonestCheck | ForgedCheck, string>> = {
  event:
    'Give the receiver the secret of this subscriber, have it verify the bytes as received, compare its clock (five minutes are tolerated), and look at its log.',
  duplicate: 'Acknowledge an event that you have handled before: else it is sent again and again.',
  reordered: 'Take events in any order, and compare created_at where it matters.',
  unknownType: 'Acknowledge types that you do not know, or register for those that you want (eventTypes).',
  largeBody:
    'Raise the limit of the body parser, and of the proxy in front of it (nginx: client_max_body_size).',
  spelling:
    'Verify the bytes as they came, before any parser: JSON that was parsed and written anew is spelt differently, and its signature no longer fits.',
  unsigned: 'Refuse what has no signature: anybody can send such a request.',
  badSignature: 'Verify the signature over the bytes as received, before anything is done with them.',
  oldTimestamp:
    'Refuse a timestamp that is more than five minutes off: a recorded request would count for ever.',
};

/** Longer than this and a busy day brings it beyond what the relay waits. */
const slowMs = 5_000;

/** Grades the answer to what has to be taken. */
export function gradeHonest(check: HonestCheck, result: PostResult, recipient: Recipient): Finding {
  const what = whatWasSent[check];
  if (result.kind !== 'answered') return { check, grade: 'fix', ...inWords(result, what) };
  const { status, durationMs } = result;
  switch (wireFormatOf(recipient).acknowledges(recipient, status, result.answer)) {
    case 'status':
      return { check, grade: 'fix', message: `${what} was refused with ${status}.`, hint: whatToDo[check] };
    case 'redirect':
      return {
        check,
        grade: 'fix',
        message: `${what} was redirected (${status}), and redirects are never followed.`,
        hint: 'Register the URL that the redirect points to.',
      };
    case 'challenge':
      return {
        check,
        grade: 'fix',
        message: `${what} was answered ${status} without the challenge token, which does not count.`,
        hint: 'Answer every event with 200 or 201 and {"challenge":"<token>"}.',
      };
    case 'accepted':
      if (check === 'duplicate') return gradeDuplicate(result);
      if (durationMs > slowMs) {
        return {
          check,
          grade: 'warning',
          message: `${what} was accepted after ${(durationMs / 1000).toFixed(1)} s.`,
          hint: 'Put the work into a queue of your own and acknowledge at once.',
        };
      }
      return {
        check,
        grade: 'good',
        message: `${what} was accepted with ${status} in ${Math.round(durationMs)} ms.`,
        hint: null,
      };
  }
}

/** Only a receiver made with the kit says whether it did the work twice. */
function gradeDuplicate({ status, answer }: Answered): Finding {
  const check = 'duplicate';
  const what = whatWasSent[check];
  const hint = 'Remember the ids of the events that were handled, in the transaction that does the work.';
  switch (receiptIn(answer)) {
    case 'duplicate':
      return {
        check,
        grade: 'good',
        message: `${what} was known and acknowledged with ${status}.`,
        hint: null,
      };
    case 'handled':
      return { check, grade: 'fix', message: `${what} was handled again.`, hint };
    default:
      return {
        check,
        grade: 'good',
        message: `${what} was accepted with ${status}; whether its work was done twice cannot be seen from here.`,
        hint: null,
      };
  }
}

function receiptIn(answer: Buffer): unknown {
  try {
    return JSON.parse(answer.toString('utf8'))?.received;
  } catch {
    return undefined;
  }
}

/** Grades the answer to what must not be taken. */
export function gradeForged(check: ForgedCheck, result: PostResult): Finding {
  const what = whatWasSent[check];
  if (result.kind !== 'answered') {
    return {
      check,
      grade: 'warning',
      message: `${what} got no answer (${outcomeLabel(result)}).`,
      hint: 'Answer 401, so that a wrong secret can be told from an outage.',
    };
  }
  const { status } = result;
  if (status < 300) {
    return { check, grade: 'fix', message: `${what} was accepted with ${status}.`, hint: whatToDo[check] };
  }
  const message = `${what} was refused with ${status}.`;
  if (status === 410) {
    return { check, grade: 'warning', message, hint: 'Answer 401: 410 tells the relay to stop for good.' };
  }
  if (status >= 400 && status < 500) return { check, grade: 'good', message, hint: null };
  return {
    check,
    grade: 'warning',
    message,
    hint: 'Answer 401: this one looks like a fault of the receiver.',
  };
}
