import { randomInt } from 'node:crypto';
import type { Printer } from '../print.ts';
import { untilStopped } from '../serve.ts';
import type { Surroundings } from '../surroundings.ts';
import type { DemoKeys } from './keys.ts';
import type { Receipt } from './sample-subscriber.ts';
import { demoClinics, enter, type Part } from './stage.ts';

const retrySeconds = [2, 5, 15, 60, 300];

const parts: readonly Part[] = [
  { name: 'ehr', profile: 'fullscript', retrySeconds, hasChallenge: true, answer: () => 200 },
  {
    name: 'flaky',
    profile: 'standard',
    retrySeconds,
    hasChallenge: false,
    answer: (eventId, attempt) =>
      Number.parseInt(eventId.slice(-1), 16) % 2 === 0 && attempt === 1 ? 503 : 200,
  },
  { name: 'dead', profile: 'standard', retrySeconds, hasChallenge: false, answer: () => 500 },
];

const eventsPerMinute = 40;

/** Runs until it is stopped; started again in the same folder, it goes on with what was not delivered. */
export async function runLive({
  folder,
  keys,
  around,
  to,
}: {
  folder: string;
  keys: DemoKeys;
  around: Surroundings;
  to: Printer;
}): Promise<void> {
  const clinicNames = new Map<string, string>();
  const stage = await enter({
    folder,
    keys,
    // Other events at each start: the log knows the ones from before.
    seed: randomInt(2 ** 32),
    clock: around.clock,
    parts,
    eventsPerMinute,
    onReceipt: (receipt) => to.out(line(receipt, clinicNames, around.clock.wall())),
  });
  for (const { id, name } of stage.sandbox.fullscript.clinics) clinicNames.set(id, name);
  for (const clinic of demoClinics) stage.sandbox.fullscript.addEvent({ clinic });
  to.out(`Offline Fullscript at ${stage.sandbox.url}, relay at ${stage.relay.url}, log in ${folder}`);
  to.out(`ehr takes everything; flaky fails half of its first attempts; dead answers 500. Ctrl-C stops it.`);
  to.out('');
  await untilStopped(around, {
    stop: () => stage.leave(),
    failed: stage.relay.failed,
  });
}

function line(receipt: Receipt, clinicNames: ReadonlyMap<string, string>, at: number): string {
  const clinic =
    receipt.clinicId === null ? 'catalog' : (clinicNames.get(receipt.clinicId) ?? receipt.clinicId);
  const verdict = !receipt.isSignatureValid
    ? 'BAD SIGNATURE'
    : receipt.status < 300
      ? `accepted ${receipt.status}`
      : `refused ${receipt.status}`;
  return [
    new Date(at).toISOString().slice(11, 19),
    receipt.subscriber.padEnd(6),
    receipt.type.padEnd(38),
    clinic.padEnd(11),
    `attempt ${receipt.attempt}`.padEnd(10),
    verdict,
  ].join('  ');
}
