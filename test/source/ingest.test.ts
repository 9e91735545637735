import { expect, test } from 'vitest';
import { createIngest } from '../../src/source/ingest.ts';
import { fullscriptSignature } from '../../src/wire/fullscript.ts';
import { keptLog } from '../world/log.ts';
import { pollingRelay, recordedIds } from './clinic.ts';

const minute = 60_000;
const secret = 'the-signature-secret-key-of-the-dashboard';
const orders = { clinic: 'Washington', type: 'order.placed' } as const;

type Relay = Awaited<ReturnType<typeof pollingRelay>>;

/** Pushes an event's own text, as Fullscript signs it. */
function pushTo({ store, clock }: Pick<Relay, 'store' | 'clock'>, isShadow = false) {
  const { logger } = keptLog();
  const ingest = createIngest({ store, secret, isShadow, clock, logger, onRecorded: () => {} });
  return (text: string) => {
    const body = Buffer.from(`{"event":${text}}`);
    const signature = fullscriptSignature(secret, Math.floor(clock.wall() / 1000), body);
    return ingest({ headers: { 'fullscript-signature': signature }, body });
  };
}

async function deliveries({ store }: Relay) {
  return (await store.deliveries({}, { limit: 100, cursor: null })).items;
}

test('in shadow mode a webhook is recorded and owed to nobody, and a poll does not change that', async () => {
  const relay = await pollingRelay({ isShadow: true, categories: ['orders'] });
  await relay.clock.advance(minute);
  const { id, text } = relay.fullscript.addEvent(orders);
  expect(await pushTo(relay, true)(text)).toEqual({ kind: 'recorded', came: 'first' });
  await relay.clock.advance(5 * minute);
  expect(await relay.store.event(id)).toMatchObject([{ withheld: 'shadow', isPast: false }]);
  expect(await deliveries(relay)).toEqual([]);
});

for (const when of [
  'before the poll asks for the event',
  'while the poll holds the event’s answer',
] as const) {
  test(`a webhook that comes ${when} leaves one record and one delivery`, async () => {
    const pushed: unknown[] = [];
    let event = { id: '', text: '' };
    const relay: Relay = await pollingRelay({
      categories: ['orders'],
      http: (http) => async (request) => {
        if (event.id === '' || !request.url.endsWith(`/events/${event.id}`)) return http(request);
        const push = async () => pushed.push(await pushTo(relay)(event.text));
        if (when.startsWith('before')) await push();
        const answer = await http(request);
        if (when.startsWith('while')) await push();
        return answer;
      },
    });
    await relay.clock.advance(minute);
    event = relay.fullscript.addEvent(orders);
    await relay.clock.advance(5 * minute);
    expect(pushed).toEqual([{ kind: 'recorded', came: 'first' }]);
    expect(await recordedIds(relay.store)).toEqual([event.id]);
    expect(await deliveries(relay)).toHaveLength(1);
    expect((await relay.store.streams())[0]).toMatchObject({ problem: null, recorded: 1 });
  });
}

test('webhooks of one event that come at once are one record, and one of them is told to be the first', async () => {
  const relay = await pollingRelay({ categories: ['orders'] });
  await relay.clock.advance(minute);
  const { text } = relay.fullscript.addEvent(orders);
  const push = pushTo(relay);
  const came = await Promise.all(Array.from({ length: 5 }, () => push(text)));
  expect(came.map((each) => ('came' in each ? each.came : each.kind)).sort()).toEqual([
    'again',
    'again',
    'again',
    'again',
    'first',
  ]);
  expect(await deliveries(relay)).toHaveLength(1);
});

test('a webhook brings what a poll had set aside, and it is set aside no more', async () => {
  const relay = await pollingRelay({ categories: ['orders'] });
  await relay.clock.advance(minute);
  const { id, text } = relay.fullscript.addEvent(orders);
  relay.fullscript.faults.switchOn({ name: 'retrieval-fails', status: 404, eventId: id });
  await relay.clock.advance(3 * 60 * minute);
  expect(await relay.store.setAsides()).toMatchObject([{ eventId: id, isFinal: true }]);
  expect(await pushTo(relay)(text)).toEqual({ kind: 'recorded', came: 'first' });
  expect(await relay.store.setAsides()).toEqual([]);
  expect(await deliveries(relay)).toHaveLength(1);
});

test('a webhook brings an event of a clinic that has to be connected again', async () => {
  const relay = await pollingRelay({ categories: ['orders'] });
  await relay.clock.advance(minute);
  relay.fullscript.faults.switchOn({ name: 'invalid-grant' });
  relay.fullscript.faults.switchOn({ name: 'unauthorized' });
  await relay.clock.advance(30 * minute);
  expect((await relay.store.connections())[0]?.state).toBe('needsReconnect');
  const { text } = relay.fullscript.addEvent(orders);
  expect(await pushTo(relay)(text)).toEqual({ kind: 'recorded', came: 'first' });
  expect(await deliveries(relay)).toHaveLength(1);
});
