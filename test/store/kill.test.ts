import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { realDisk } from '../../src/store/file/disk.ts';
import { seededRandom, storeOn } from '../world/disk.ts';
import { builtProgram, run } from '../world/process.ts';
import { anEvent } from './fixtures.ts';

const kills = 30;

test(`case 31: a process killed at ${kills} random moments under load leaves everything that it was told is done`, async () => {
  const path = await mkdtemp(join(tmpdir(), 'relay-kill-'));
  const program = await builtProgram('store-process.ts');
  const random = seededRandom(Date.now());
  const events = new Set<string>();
  const delivered = new Set<string>();
  for (let life = 1; life <= kills; life++) {
    const working = run(program.path, [path, 'work', String(life)]);
    // Some die while they start, the others at any number of answers.
    if (random() < 0.8) {
      await working.line('open');
      const answers = Math.floor(random() * 400);
      while (working.lines().length < answers) await new Promise((resolve) => setImmediate(resolve));
    }
    working.child.kill('SIGKILL');
    await working.ended;
    for (const line of working.lines()) {
      const [what, id = ''] = line.split(' ');
      if (what === 'event') events.add(id);
      else if (what === 'delivered') delivered.add(id);
      else expect(line).toBe('open');
    }
    if (life % 5 !== 0) continue;
    const store = await storeOn(realDisk, systemClock(), { path });
    expect(await store.unseen('clinic-1', [...events]), `after ${life} kills`).toEqual([]);
    for (const id of delivered) expect(await store.delivery(id)).toMatchObject({ state: 'delivered' });
    for (const id of events) expect(await store.eventBody('clinic-1', id)).toBe(anEvent(id).body);
    const { items } = await store.deliveries({}, { limit: 1_000_000, cursor: null });
    expect(items.map(({ sequence }) => sequence)).toEqual(items.map((_, index) => items.length - index));
    await store.close();
  }
  expect(events.size).toBeGreaterThan(kills * 10);
  expect(delivered.size).toBeGreaterThan(kills * 5);
  await program.discard();
  await rm(path, { recursive: true });
}, 120_000);
