import { afterEach, expect, test } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { type Answer, type SeenRequest, type StandIn, standIn } from '../client/stand-in.ts';
import { type Outside, outside } from './outside.ts';

let relay: StandIn | null = null;
let around: (Outside & { discard(): Promise<void> }) | null = null;
afterEach(async () => {
  await relay?.close();
  await around?.discard();
});

const page = (...data: unknown[]): Answer => ({ status: 200, json: { data, nextCursor: null } });

const backfill = {
  id: 'bkf_1',
  subscriberId: 'sub_1',
  from: '2026-11-20T12:00:00.000Z',
  state: 'running',
  matched: 3,
  done: 0,
  enqueued: 0,
  unavailable: 0,
};

async function relayRun(argv: readonly string[]) {
  let looks = 0;
  relay = await standIn((request: SeenRequest): Answer => {
    const route = `${request.method} ${request.path.split('?')[0]}`;
    if (route === 'GET /v1/subscribers') return page({ id: 'sub_1', name: 'ehr' });
    if (route === 'GET /v1/clinics') return page({ id: 'cl_1', name: 'Washington' });
    if (route === 'POST /v1/backfills') {
      const streams = [{ clinicId: 'cl_1', category: 'orders', events: 3 }];
      const isCount = (request.body as { dryRun?: boolean }).dryRun === true;
      const count = { dryRun: true, from: backfill.from, matched: 3, streams };
      return { status: 202, json: isCount ? count : backfill };
    }
    if (route === 'GET /v1/backfills') return page(backfill);
    if (request.path === '/v1/backfills/bkf_1') {
      looks++;
      const state = looks === 1 ? 'running' : request.method === 'DELETE' ? 'cancelled' : 'done';
      return { status: 200, json: { ...backfill, state, done: looks, enqueued: looks, unavailable: 1 } };
    }
    return { status: 404, json: { code: 'not_found', detail: `There is no ${route}.`, hint: 'Look.' } };
  });
  around = await outside({ env: { RELAY_URL: relay.url, RELAY_TOKEN: 't' } });
  const exit = await run(argv, around);
  return { exit, out: around.out(), err: around.err(), asked: relay.seen };
}

test('a backfill is begun by a subscriber’s name, and waited for', async () => {
  const { exit, out, err, asked } = await relayRun(['subscribers', 'backfill', 'ehr', '--from', '2d']);
  expect(exit).toBe(0);
  expect(asked.find(({ method }) => method === 'POST')?.body).toEqual({ subscriberId: 'sub_1', from: '2d' });
  expect(err).toContain('Backfill bkf_1 of 3 events; it goes on without this command.');
  expect(out).toContain('Backfill bkf_1 is done: 2 of 3 events gone through, 2 enqueued.');
  expect(out).toContain('1 were left out');
});

for (const argv of [
  ['subscribers', 'backfill', 'ehr', '--from', '2d', '--dry-run'],
  ['subscribers', 'add', '--name', 'x', '--url', 'https://x.example', '--start-from', '2d', '--dry-run'],
]) {
  test(`what would be sent is counted by clinic and category: ${argv[1]}`, async () => {
    const { exit, out, asked } = await relayRun(argv);
    expect(exit).toBe(0);
    expect(out).toContain('3 events since 2026-11-20T12:00:00.000Z would be sent.');
    expect(out).toMatch(/Washington +orders +3/);
    expect(asked.filter(({ method, path }) => method === 'POST' && path !== '/v1/backfills')).toEqual([]);
  });
}

test('a backfill that there is can be shown', async () => {
  const { exit, out } = await relayRun(['subscribers', 'backfill', '--show', 'bkf_1', '--json']);
  expect(exit).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ id: 'bkf_1', state: 'running' });
});

for (const { named, query } of [
  { named: [], query: '' },
  { named: ['ehr'], query: 'subscriberId=sub_1&' },
]) {
  test(`the backfills there are can be listed, ${query === '' ? 'all of them' : 'or a subscriber’s'}`, async () => {
    const { exit, out, asked } = await relayRun(['subscribers', 'backfill', ...named, '--show']);
    expect(exit).toBe(0);
    expect(out).toMatch(/bkf_1 +ehr +running +0 of 3 +2026-11-20T12:00:00Z\n/);
    expect(asked.map(({ path }) => path)).toContain(`/v1/backfills?${query}limit=500`);
  });
}

for (const { argv, because } of [
  { argv: ['ehr'], because: 'no moment' },
  { argv: ['--from', '2d'], because: 'no subscriber' },
  { argv: ['ehr', '--from', 'soon'], because: 'a moment that is none' },
  { argv: ['ehr', '--from', '2d', '--show', 'bkf_1'], because: 'an old and a new one at once' },
  { argv: ['ehr', '--from', '2d', '--show'], because: 'old ones and a new one at once' },
  { argv: ['--show', 'bkf_1', '--cancel', 'bkf_1'], because: 'two things at once' },
]) {
  test(`it is bad usage, and nothing is asked: ${because}`, async () => {
    const { exit, asked } = await relayRun(['subscribers', 'backfill', ...argv]);
    expect(exit).toBe(2);
    expect(asked).toEqual([]);
  });
}

test('a dry run of an addition without a start is bad usage', async () => {
  const { exit } = await relayRun([
    'subscribers',
    'add',
    '--name',
    'x',
    '--url',
    'https://x.example',
    '--dry-run',
  ]);
  expect(exit).toBe(2);
});
