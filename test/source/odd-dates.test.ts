import { expect, test } from 'vitest';
import { pollingRelay, recordedIds } from './clinic.ts';

const minute = 60_000;
const hour = 60 * minute;
const orders = { clinic: 'Washington', type: 'order.placed' } as const;

for (const { createdAt, because } of [
  { createdAt: '9999-12-31T23:59:59.999Z', because: 'the last moment there is' },
  { createdAt: '+275760-09-13T00:00:00.000Z', because: 'a year of six digits' },
  { createdAt: '1970-01-01T00:00:00.000Z', because: 'the beginning of time' },
  { createdAt: '0000-00-00T00:00:00Z', because: 'a database’s nothing' },
  { createdAt: '2026-02-30T12:00:00.000Z', because: 'a day that does not exist' },
]) {
  test(`an item dated ${createdAt}, ${because}, stops nothing`, async () => {
    const { clock, fullscript, store, lines, fatal } = await pollingRelay({
      categories: ['orders'],
      http: (http) => async (request) => {
        const answer = await http(request);
        if (answer.kind !== 'answered' || odd === '') return answer;
        const text = answer.body.toString().replaceAll(odd, createdAt);
        return { ...answer, body: Buffer.from(text) };
      },
    });
    let odd = '';
    await clock.advance(minute);
    const event = fullscript.addEvent(orders);
    odd = new Date(event.createdAt).toISOString();
    await clock.advance(minute);
    const next = fullscript.addEvent(orders);
    await clock.advance(hour);
    const after = fullscript.addEvent(orders);
    await clock.advance(hour);
    expect(fatal).toEqual([]);
    expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
    const [stream] = await store.streams();
    expect(stream).toMatchObject({ problem: null });
    expect(stream?.cursor).toBeLessThanOrEqual(clock.now());
    const ids = await recordedIds(store);
    expect(ids).toContain(next.id);
    expect(ids).toContain(after.id);
    expect(await store.unseen(event.clinicId, [event.id])).toEqual([]);
  });
}
