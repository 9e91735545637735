import { systemClock } from '../../src/clock.ts';
import { RelayError } from '../../src/domain/errors.ts';
import { realDisk } from '../../src/store/file/disk.ts';
import { openFileStore } from '../../src/store/file/file-store.ts';
import { kernelLock } from '../../src/store/file/lock.ts';
import { aClinic, accepted, anEvent, aSubscriber, claim } from '../store/fixtures.ts';

/**
 * A program of its own: opens the store in the folder given, records events and attempts
 * as fast as it can, and prints each as soon as the store says that it is done, one a
 * line, until it is killed. Given `hold`, it opens the store and does nothing.
 */
const [path = '', what = 'work', life = '0'] = process.argv.slice(2);

/** Synchronous, so that a line that was printed was printed before the kill. */
const say = (line: string) => process.stdout.write(`${line}\n`);

try {
  const store = await openFileStore({
    path,
    masterKeys: { current: Buffer.alloc(32, 7), previous: null },
    disk: realDisk,
    lock: kernelLock,
    clock: systemClock(),
    random: Math.random,
    partBytes: 20_000,
    onTrouble: (trouble) => say(`trouble ${trouble?.code}`),
  });
  say('open');
  if (what === 'hold') setInterval(() => {}, 60_000);
  else await work();

  async function work(): Promise<void> {
    await store.saveClinic(aClinic());
    await store.follow('clinic-1', [{ category: 'orders', startAt: 0 }]);
    const { subscribers } = await store.subscribers();
    if (subscribers.length === 0) await store.addSubscriber(aSubscriber());
    await Promise.all([recordEvents(), deliver(), deliver(), deliver()]);
  }

  async function recordEvents(): Promise<void> {
    const stream = { clinicId: 'clinic-1', category: 'orders' };
    const [poll] = await store.claimPolls({ streams: [stream], leaseMs: 600_000 });
    if (!poll) throw new Error('the stream is taken');
    const { version } = await store.subscribers();
    for (let batch = 0; ; batch++) {
      const events = [0, 1, 2, 3, 4].map((n) => anEvent(`e-${life}-${batch}-${n}`));
      await store.recordEvents(poll, { events, subscribersVersion: version });
      say(events.map(({ id }) => `event ${id}`).join('\n'));
    }
  }

  async function deliver(): Promise<void> {
    for (;;) {
      for (const claimed of await claim(store, 2)) {
        await store.recordAttempt(claimed, accepted);
        say(`delivered ${claimed.delivery.id}`);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
} catch (error) {
  say(error instanceof RelayError ? `refused ${error.code}: ${error.message}` : `failed ${String(error)}`);
  process.exitCode = 1;
}
