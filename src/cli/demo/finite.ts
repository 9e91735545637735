import { wait } from '../../clock.ts';
import { RelayError } from '../../domain/errors.ts';
import { documentedEventTypes } from '../../domain/event.ts';
import type { Printer } from '../print.ts';
import type { Surroundings } from '../surroundings.ts';
import type { DemoKeys } from './keys.ts';
import { progressBar } from './progress-bar.ts';
import { demoClinics, enter, type Part, type Stage } from './stage.ts';
import { type Owed, Tally, type Verdict } from './tally.ts';

const eventsOfEachType = 2;
const patienceMs = 50_000;
/** Long enough for a repeated delivery to show itself. */
const aftermathMs = 1_500;

/** Fails the first two attempts of one delivery in five. */
const stumbling = (eventId: string, attempt: number): number =>
  Number.parseInt(eventId.slice(-2), 16) % 5 === 0 && attempt <= 2 ? 503 : 200;

const parts: readonly Part[] = [
  { name: 'ehr', profile: 'fullscript', retrySeconds: [1, 2], hasChallenge: true, answer: () => 200 },
  { name: 'billing', profile: 'standard', retrySeconds: [1, 2], hasChallenge: false, answer: () => 200 },
  { name: 'stumbling', profile: 'standard', retrySeconds: [1, 2], hasChallenge: false, answer: stumbling },
];

/**
 * Sends a finite set of events through a fresh relay and holds what the subscribers got
 * against what the vendor listed.
 *
 * @throws RelayError `demo_failed` when a delivery was lost, doubled or changed.
 */
export async function runFinite({
  folder,
  keys,
  around,
  to,
  asJson,
}: {
  folder: string;
  keys: DemoKeys;
  around: Surroundings;
  to: Printer;
  asJson: boolean;
}): Promise<void> {
  const tally = new Tally();
  const seed = around.clock.wall() % 1_000_000;
  const stage = await enter({
    folder,
    keys,
    seed,
    clock: around.clock,
    parts,
    eventsPerMinute: 0,
    onReceipt: (receipt) => tally.take(receipt),
  });
  let verdict: Verdict;
  try {
    const owed = happen(stage);
    const bar = progressBar(around.stderr, owed.length);
    await Promise.race([arrival(around, tally, owed.length, (done) => bar.show(done)), stage.relay.failed]);
    bar.end();
    await wait(around.clock, aftermathMs);
    verdict = tally.judge(owed);
  } finally {
    await stage.leave();
  }
  for (const fault of verdict.faults) to.note(fault);
  const { delivered, owed, duplicates, lost } = verdict;
  if (asJson) to.json({ ...verdict, attempts: tally.attempts });
  else to.out(`delivered ${delivered} of ${owed}, duplicates ${duplicates}, lost ${lost}`);
  if (delivered !== owed || duplicates > 0 || lost > 0 || verdict.faults.length > 0) {
    throw new RelayError('demo_failed', 'The demo did not deliver everything exactly as it was listed.', {
      hint: 'Run it again; if it happens twice, please report it with the lines above.',
    });
  }
}

/** Lets every documented type of event happen in both clinics. */
function happen(stage: Stage): readonly Owed[] {
  const owed: Owed[] = [];
  for (let round = 0; round < eventsOfEachType; round++) {
    for (const clinic of demoClinics) {
      for (const type of documentedEventTypes) {
        const event = stage.sandbox.fullscript.addEvent({ clinic, type });
        for (const { name } of parts) owed.push({ subscriber: name, eventId: event.id, text: event.text });
      }
    }
  }
  return owed;
}

/** Resolves when as many deliveries were accepted as are owed, or patience has run out. */
async function arrival(
  { clock }: Surroundings,
  tally: Tally,
  owed: number,
  show: (done: number) => void,
): Promise<void> {
  const until = clock.monotonic() + patienceMs;
  while (tally.accepted < owed && clock.monotonic() < until) {
    show(tally.accepted);
    await wait(clock, 100);
  }
  show(tally.accepted);
}
