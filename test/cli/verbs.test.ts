import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { createReceiver } from '../../src/receiver/receiver.ts';
import { type Answer, type SeenRequest, type StandIn, standIn } from '../client/stand-in.ts';
import { simulatedClock } from '../world/clock.ts';
import { type Outside, outside } from './outside.ts';

let relay: StandIn | null = null;
let around: (Outside & { discard(): Promise<void> }) | null = null;
afterEach(async () => {
  await relay?.close();
  await around?.discard();
});

const subscriber = {
  id: 'sub_1',
  name: 'ehr',
  url: 'https://ehr.example/hook',
  profile: 'fullscript',
  state: 'active',
  pauseReasons: [],
  eventTypes: ['order.*'],
  clinicIds: [],
  isDeclared: false,
  retrySeconds: [5, 300],
  concurrency: null,
  requestsPerSecond: 0.5,
  order: null,
  signature: 'v1',
  publicKeys: [],
  jwt: false,
  envelope: 'event',
  thin: false,
  headerNames: ['Authorization'],
  owner: 'ehr-team',
  hasChallengeToken: false,
  lastSuccessAt: null,
  lastFailureAt: null,
  createdAt: '2026-11-22T08:00:00.000Z',
};

const clinic = { id: 'cl_1', name: 'Washington' };

const delivery = {
  id: 'dlv_abcdefghijklmnopqrstuvwxyz',
  state: 'failed',
  subscriberId: 'sub_1',
  clinicId: 'cl_1',
  eventId: 'evt_1',
  eventType: 'order.placed',
  sequence: 7,
  round: 1,
  attemptCount: 9,
  createdAt: '2026-11-22T08:00:00.000Z',
  dueAt: null,
  deliveredAt: null,
  endReason: 'scheduleUsedUp',
  lastOutcome: 'status 503',
};

const page = (...data: unknown[]): Answer => ({ status: 200, json: { data, nextCursor: null } });

/** Runs one command line against a relay that has the things above, and answers the rest as told. */
async function relayRun(
  argv: readonly string[],
  answers: Readonly<Record<string, (request: SeenRequest) => Answer>> = {},
  given: Parameters<typeof outside>[0] = {},
) {
  relay = await standIn((request) => {
    const route = `${request.method} ${request.path.split('?')[0]}`;
    const answer = answers[route];
    if (answer) return answer(request);
    if (route === 'GET /v1/subscribers') return page(subscriber);
    if (route === 'GET /v1/subscribers/sub_1') return { status: 200, json: subscriber };
    if (route === 'GET /v1/clinics') return page(clinic);
    return { status: 404, json: { code: 'not_found', detail: `There is no ${route}.`, hint: 'Look.' } };
  });
  around = await outside({ ...given, env: { RELAY_URL: relay.url, RELAY_TOKEN: 't', ...given.env } });
  const exit = await run(argv, around);
  return { exit, out: around.out(), err: around.err(), asked: relay.seen };
}

describe('a server that answers everything with {} is no relay, whatever is asked of it', () => {
  for (const argv of [
    ['status'],
    ['subscribers', 'list'],
    ['clinics', 'list'],
    ['deliveries', 'list'],
    ['deliveries', 'explain', 'dlv_1'],
    ['replay', 'dlv_1'],
    ['replay', '--failed', '--no-wait'],
    ['audit'],
    ['erase', '--patient', 'p'],
    ['token', 'revoke', 'a'],
  ]) {
    test(argv.join(' '), async () => {
      relay = await standIn(() => ({ status: 200, json: {} }), { isRelay: false });
      around = await outside({ env: { RELAY_URL: relay.url, RELAY_TOKEN: 't' } });
      expect(await run(argv, around)).toBe(1);
      expect(around.out()).toBe('');
      expect(around.err()).toContain('is not a relay');
    });
  }
});

test('a subscriber is shown with its owner, waits, slots, rate and what it is sent', async () => {
  const { exit, out } = await relayRun(['subscribers', 'show', 'ehr']);
  expect(exit).toBe(0);
  expect(out).toContain('retries  after 5, 300 s\n');
  expect(out).toContain('at once  as configured\n');
  expect(out).toContain('rate     0.5 requests a second\n');
  expect(out).toContain('owner    ehr-team\n');
  expect(out).toContain('sends    whole events, as event\n');
  expect(out).toContain('headers  Authorization\n');
});

test('an empty value takes back waits, slots and a rate that were chosen', async () => {
  const { exit, asked } = await relayRun(
    [
      ...'subscribers update sub_1 --retry-seconds'.split(' '),
      '',
      '--concurrency',
      '',
      '--requests-per-second=',
      '--order=',
    ],
    { 'PATCH /v1/subscribers/sub_1': () => ({ status: 200, json: { ...subscriber, warnings: [] } }) },
  );
  expect(exit).toBe(0);
  expect(asked.at(-1)?.body).toEqual({
    retrySeconds: null,
    concurrency: null,
    requestsPerSecond: null,
    order: null,
  });
});

describe('a list', () => {
  test('is a table that keeps ids whole', async () => {
    const { exit, out } = await relayRun(['subscribers', 'list']);
    expect(exit).toBe(0);
    expect(out.split('\n').slice(0, 2)).toEqual([
      'ID     NAME  STATE   URL',
      'sub_1  ehr   active  https://ehr.example/hook',
    ]);
  });

  test('is JSON where JSON was asked for', async () => {
    const { out } = await relayRun(['subscribers', 'list', '--json']);
    expect(JSON.parse(out)).toEqual({ data: [subscriber] });
  });

  test('that is empty says what to do, and prints no result', async () => {
    const { exit, out, err } = await relayRun(['subscribers', 'list'], {
      'GET /v1/subscribers': () => page(),
    });
    expect({ exit, out, err }).toEqual({
      exit: 0,
      out: '',
      err: 'There are no subscribers yet: `relay subscribers add`.\n',
    });
  });

  test('of deliveries fits 80 columns, with a stored answer that cannot act on the terminal', async () => {
    const hostile = { ...delivery, lastOutcome: '\u001b[2Jstatus 503', eventType: 'o\u202ex' };
    const { out } = await relayRun(['deliveries', 'list'], { 'GET /v1/deliveries': () => page(hostile) });
    expect(out).toContain(delivery.id);
    expect(out).not.toMatch(/[\u001b\u202e]/);
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  test('of deliveries asks for what was named: names become ids, moments become instants', async () => {
    const { exit, asked } = await relayRun(
      [
        'deliveries',
        'list',
        '--subscriber',
        'ehr',
        '--clinic',
        'Washington',
        '--since',
        '2026-11-01',
        '--limit',
        '5',
      ],
      { 'GET /v1/deliveries': () => page(delivery) },
    );
    expect(exit).toBe(0);
    const path = asked.find((each) => each.path.startsWith('/v1/deliveries'))?.path ?? '';
    const query = new URL(path, 'http://relay').searchParams;
    expect(Object.fromEntries(query)).toEqual({
      subscriberId: 'sub_1',
      clinicId: 'cl_1',
      since: '2026-11-01T00:00:00.000Z',
      limit: '5',
    });
  });
});

describe('a name stands for its id', () => {
  test('an unknown one is refused before anything is done', async () => {
    const { exit, err, asked } = await relayRun(['subscribers', 'remove', 'nobody']);
    expect(exit).toBe(1);
    expect(err).toContain('There is no subscriber nobody.');
    expect(asked.every(({ method }) => method === 'GET')).toBe(true);
  });

  test('one that several owners use names the ids to choose from', async () => {
    const { exit, err } = await relayRun(['subscribers', 'pause', 'ehr'], {
      'GET /v1/subscribers': () => page(subscriber, { ...subscriber, id: 'sub_2' }),
    });
    expect(exit).toBe(1);
    expect(err).toContain('sub_1, sub_2');
  });
});

describe('adding a subscriber', () => {
  const added = { ...subscriber, secret: 'whsec_once', warnings: [] };
  const add = ['subscribers', 'add', '--name', 'ehr', '--url', 'https://ehr.example/hook'];
  const answers = { 'POST /v1/subscribers': (): Answer => ({ status: 201, json: added }) };

  test('prints its id and its secret once, and how to verify', async () => {
    const { exit, out } = await relayRun(add, answers);
    expect(exit).toBe(0);
    expect(out.match(/whsec_once/g)).toHaveLength(1);
    expect(out).toContain('sub_1');
    expect(out).toContain('Fullscript-Signature');
  });

  test('sends the fields that were given, and no others', async () => {
    const { asked } = await relayRun(
      [
        ...add,
        '--event-types',
        'order.*, patient.created',
        '--retry-seconds',
        '1,2',
        '--concurrency',
        '3',
        '--challenge',
        '--thin',
        '--order',
        'perClinic',
        '--requests-per-second',
        '0.5',
        '--headers-env',
        'Authorization=EHR_AUTH',
      ],
      answers,
      { env: { EHR_AUTH: 'Bearer gateway' } },
    );
    expect(asked.at(-1)?.body).toEqual({
      name: 'ehr',
      url: 'https://ehr.example/hook',
      eventTypes: ['order.*', 'patient.created'],
      retrySeconds: [1, 2],
      concurrency: 3,
      challenge: true,
      thin: true,
      order: 'perClinic',
      requestsPerSecond: 0.5,
      headers: { Authorization: 'Bearer gateway' },
    });
  });

  for (const { argv, given, because, warns } of [
    { argv: ['--secret-stdin'], given: { stdin: 'a-secret\r\n' }, because: 'standard input', warns: false },
    {
      argv: ['--secret-env', 'S'],
      given: { env: { S: 'a-secret' } },
      because: 'the environment',
      warns: false,
    },
    { argv: ['--secret', 'a-secret'], given: {}, because: 'the command line, with a warning', warns: true },
  ]) {
    test(`takes a secret from ${because}`, async () => {
      const { asked, err } = await relayRun([...add, ...argv], answers, given);
      expect(asked.at(-1)?.body).toMatchObject({ secret: 'a-secret' });
      expect(err.includes('warning')).toBe(warns);
      expect(err).not.toContain('a-secret');
    });
  }

  test('an empty standard input is no secret', async () => {
    const { exit, asked } = await relayRun([...add, '--secret-stdin'], answers);
    expect(exit).toBe(2);
    expect(asked).toEqual([]);
  });

  test('tells every problem that the relay found', async () => {
    const problems = [
      { path: 'url', message: 'is not allowed' },
      { path: 'eventTypes[0]', message: 'is malformed' },
    ];
    const { exit, err } = await relayRun(add, {
      'POST /v1/subscribers': () => ({
        status: 422,
        json: { code: 'subscriber_invalid', detail: 'It cannot be taken.', hint: 'Repair it.', problems },
      }),
    });
    expect(exit).toBe(1);
    expect(err).toBe(
      'relay: It cannot be taken.\n  url: is not allowed\n  eventTypes[0]: is malformed\n  Repair it.\n',
    );
  });
});

describe('an erasure', () => {
  const result = {
    erased: true,
    events: 2,
    open: 0,
    ended: 1,
    files: 1,
    unreadable: 0,
    note: 'Backups hold it.',
  };
  const erasure = { id: 'ers_1', state: 'done', dryRun: false, problem: null, result };
  const erased = (change: object, ...argv: readonly string[]) =>
    relayRun(['erase', '--patient', 'ana', ...argv], {
      'POST /v1/erasures': () => ({ status: 202, json: { ...erasure, ...change } }),
    });

  test('says what was erased, and what holds it yet', async () => {
    const { exit, out, asked } = await erased({}, '--clinic', 'Washington', '--cancel-open');
    expect(exit).toBe(0);
    expect(out).toBe(
      '2 events erased; 1 file written anew without them. 1 open delivery ended.\nBackups hold it.\n',
    );
    expect(asked.at(-1)?.body).toEqual({
      patientId: 'ana',
      clinicId: 'Washington',
      cancelOpen: true,
      dryRun: false,
    });
  });

  test('counts in a dry run', async () => {
    const counted = { dryRun: true, result: { ...result, erased: false, open: 3, unreadable: 1 } };
    const { exit, out } = await erased(counted, '--dry-run');
    expect(exit).toBe(0);
    expect(out).toContain('2 events would be erased; 3 deliveries of them are open.\n1 event cannot be read');
  });

  test('fails when open deliveries stand in the way, and when it was cut off', async () => {
    const refused = await erased({ result: { ...result, erased: false, open: 1 } });
    expect(refused).toMatchObject({ exit: 1 });
    expect(refused.err).toContain('1 delivery of these events is open');
    const cut = await erased({ state: 'cancelled', result: null, problem: 'A restart cut it off.' });
    expect(cut.exit).toBe(1);
    expect(cut.err).toContain('A restart cut it off.');
  });

  /** It is running when it is asked for; then the relay answers as told, one look after the other. */
  async function watched(shown: Answer[]) {
    const clock = simulatedClock(Date.parse('2026-11-22T08:00:00Z'));
    const answers = {
      'POST /v1/erasures': () => ({ status: 202, json: { ...erasure, state: 'running' } }),
      'GET /v1/erasures/ers_1': () => shown.shift() ?? ({ destroy: true } as const),
    };
    let isOver = false;
    const running = relayRun(['erase', '--patient', 'ana'], answers, { clock }).finally(() => {
      isOver = true;
    });
    while (!isOver) await clock.advance(500);
    return running;
  }

  test('says what it waits for, once', async () => {
    const waiting = { status: 200, json: { ...erasure, state: 'running', problem: 'The disk is full.' } };
    const { exit, err } = await watched([waiting, waiting, { status: 200, json: erasure }]);
    expect(exit).toBe(0);
    expect(err.split('It waits. The disk is full.')).toHaveLength(2);
  });

  test('of a relay that ends meanwhile says that it has to be run again', async () => {
    const { exit, err } = await watched([]);
    expect(exit).toBe(1);
    expect(err).toContain('Nobody says what became of the erasure.');
    expect(err).toContain('run this again');
  });

  test('of nobody is bad usage', async () => {
    expect((await relayRun(['erase'])).exit).toBe(2);
  });
});

describe('a replay of all that failed', () => {
  const counts = { fetched: 0, notKept: 0, notFetched: 0 };
  const replay = { id: 'rpl_1', state: 'running', matched: 1000, done: 0, ...counts };

  test('says what was fetched again, and what was left for want of its event', async () => {
    const { out } = await relayRun(['replay', '--failed'], {
      'POST /v1/replays': () => ({
        status: 202,
        json: { ...replay, state: 'done', done: 1000, fetched: 3, notKept: 2, notFetched: 1 },
      }),
    });
    expect(out).toContain('went into the replay; 3 with their event fetched');
    expect(out).toContain('; 2 were left as they are: nobody has their event any more; 1 were left');
  });

  test('says in a dry run of how many deliveries the events would be fetched', async () => {
    const { out } = await relayRun(['replay', '--failed', '--dry-run'], {
      'POST /v1/replays': () => ({ status: 200, json: { dryRun: true, matched: 3, toFetch: 2 } }),
    });
    expect(out).toContain('3 deliveries would be sent again; the events of 2 of them would be fetched');
  });

  test('only counts in a dry run', async () => {
    const { exit, out, asked } = await relayRun(['replay', '--failed', '--subscriber', 'ehr', '--dry-run'], {
      'POST /v1/replays': () => ({ status: 200, json: { dryRun: true, matched: 3 } }),
    });
    expect({ exit, out }).toEqual({ exit: 0, out: '3 deliveries would be sent again.\n' });
    expect(asked.at(-1)?.body).toEqual({ state: 'failed', subscriberId: 'sub_1', dryRun: true });
  });

  test('returns at once where it shall not wait', async () => {
    const { exit, out } = await relayRun(['replay', '--failed', '--no-wait'], {
      'POST /v1/replays': () => ({ status: 202, json: replay }),
    });
    expect({ exit, out }).toEqual({ exit: 0, out: 'Replay rpl_1 is running.\n' });
  });

  test('shows its progress until it ends', async () => {
    const clock = simulatedClock(Date.parse('2026-11-22T08:00:00Z'));
    let looked = 0;
    const answers = {
      'POST /v1/replays': (): Answer => ({ status: 202, json: replay }),
      'GET /v1/replays/rpl_1': (): Answer => {
        looked += 1;
        return {
          status: 200,
          json: looked < 3 ? { ...replay, done: looked * 400 } : { ...replay, state: 'done', done: 1000 },
        };
      },
    };
    let isOver = false;
    const running = relayRun(['replay', '--failed'], answers, { clock }).finally(() => (isOver = true));
    while (!isOver) await clock.advance(500);
    const { exit, out, err } = await running;
    expect({ exit, out, looked }).toEqual({
      exit: 0,
      out: '1000 of 1000 deliveries went into the replay.\n',
      looked: 3,
    });
    expect(err).toContain('400 of 1000\n800 of 1000\n1000 of 1000\n');
  });
});

test('a token that the command makes for itself is renewed before it ends', async () => {
  const simulated = simulatedClock(Date.parse('2026-11-22T08:00:00Z'));
  let passedMs = 0;
  const clock = { ...simulated, wall: () => simulated.wall() + passedMs };
  const replay = { id: 'rpl_1', state: 'running', matched: 1, done: 0 };
  let looked = 0;
  const answers = {
    'POST /v1/replays': (): Answer => ({ status: 202, json: replay }),
    'GET /v1/replays/rpl_1': (): Answer => {
      looked += 1;
      passedMs += 120_000;
      return { status: 200, json: looked < 6 ? replay : { ...replay, state: 'done', done: 1 } };
    },
  };
  const env = { RELAY_TOKEN: '', RELAY_JWT_SECRET: 'kD93nfWm2-0sPz7vQx1LbTgYh4RcUeJa' };
  let isOver = false;
  const running = relayRun(['replay', '--failed'], answers, { clock, env }).finally(() => {
    isOver = true;
  });
  while (!isOver) await simulated.advance(500);
  const { exit, asked } = await running;
  expect(exit).toBe(0);
  const tokens = [...new Set(asked.map(({ authorization }) => authorization ?? ''))];
  expect(tokens.length).toBeGreaterThanOrEqual(3);
  for (const token of tokens) {
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    expect(claims).toMatchObject({ sub: 'owner', scope: 'admin' });
    expect(claims.exp - claims.iat).toBe(300);
  }
});

test('what the relay finds wrong with what was asked ends with 2, in the words of the command line', async () => {
  const problems = [{ path: 'requestsPerSecond', message: 'must be 0.01 at least' }];
  const { exit, err } = await relayRun(['subscribers', 'add', '--name', 'a', '--url', 'https://a.example'], {
    'POST /v1/subscribers': () => ({
      status: 400,
      json: { code: 'invalid_body', detail: 'The body has a mistake.', hint: 'GET /openapi.json', problems },
    }),
  });
  expect({ exit, err }).toEqual({
    exit: 2,
    err: 'relay: The relay does not take that.\n  requestsPerSecond: must be 0.01 at least\n  Correct what is named; `--help` says what each option takes.\n',
  });
});

test('a name that nobody has is answered with the verb that lists those that there are', async () => {
  const { exit, err } = await relayRun(['subscribers', 'pause', 'nobody'], {});
  expect({ exit, err }).toEqual({
    exit: 1,
    err: 'relay: There is no subscriber nobody.\n  `relay subscribers list` shows those that there are.\n',
  });
});

test('a token that got out is revoked by itself, whose id nobody may have written down', async () => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const token = `${part({ alg: 'HS256' })}.${part({ sub: 'me', jti: 'jti-1' })}.c2lnbmF0dXJl`;
  const { exit, out, asked } = await relayRun(['token', 'revoke', token], {
    'POST /v1/tokens/revoke': () => ({ status: 204, text: '' }),
  });
  expect({ exit, out }).toEqual({ exit: 0, out: 'The token jti-1 is refused from now on.\n' });
  expect(asked.map(({ body }) => body)).toEqual([{ jti: 'jti-1' }]);
});

describe('what the relay did not do is said in its words, with 1', () => {
  for (const { argv, status, code } of [
    { argv: ['replay', 'dlv_gone'], status: 404, code: 'not_found' },
    { argv: ['replay', 'dlv_1'], status: 409, code: 'delivery_cancelled' },
    { argv: ['deliveries', 'explain', 'dlv_1'], status: 503, code: 'store_unavailable' },
  ]) {
    test(`${argv.join(' ')} answered with ${status}`, async () => {
      const refuse = (): Answer => ({ status, json: { code, detail: 'It is so.', hint: 'Do that.' } });
      const { exit, err } = await relayRun(argv, {
        [`POST /v1/deliveries/${argv[1]}/replay`]: refuse,
        'GET /v1/deliveries/dlv_1/explain': refuse,
      });
      expect({ exit, err }).toEqual({ exit: 1, err: 'relay: It is so.\n  Do that.\n' });
    });
  }
});

for (const { argv, says } of [
  { argv: [], says: 'There are no deliveries yet: one is made when' },
  { argv: ['--state', 'failed'], says: 'There are no such deliveries.' },
  { argv: ['--limit', '3'], says: 'There are no deliveries yet' },
]) {
  test(`relay deliveries list ${argv.join(' ')} says of an empty list: ${says}`, async () => {
    const { exit, err, out } = await relayRun(['deliveries', 'list', ...argv], {
      'GET /v1/deliveries': () => page(),
    });
    expect({ exit, out }).toEqual({ exit: 0, out: '' });
    expect(err).toContain(says);
  });
}

test('an explanation is one line, by delivery or by event and subscriber', async () => {
  const explanation = 'Waits for attempt 3 until 08:05.';
  const answers = {
    'GET /v1/deliveries/dlv_1/explain': (): Answer => ({ status: 200, json: { explanation } }),
    'GET /v1/events/evt_1/explain': (): Answer => ({ status: 200, json: { explanation } }),
  };
  expect((await relayRun(['deliveries', 'explain', 'dlv_1'], answers)).out).toBe(`${explanation}\n`);
  await relay?.close();
  const byEvent = await relayRun(
    ['deliveries', 'explain', '--event', 'evt_1', '--subscriber', 'ehr'],
    answers,
  );
  expect(byEvent.out).toBe(`${explanation}\n`);
  expect(byEvent.asked.at(-1)?.path).toBe('/v1/events/evt_1/explain?subscriberId=sub_1');
});

for (const areTokensRevoked of [true, false]) {
  test(`disconnecting says ${areTokensRevoked ? 'nothing more when its tokens are' : 'when its tokens are not yet'} revoked`, async () => {
    const { exit, out, err } = await relayRun(['clinics', 'disconnect', 'Washington', '--yes'], {
      'DELETE /v1/clinics/cl_1': () => ({ status: 200, json: { id: 'cl_1', areTokensRevoked } }),
    });
    expect([exit, out]).toEqual([0, 'Disconnected Washington.\n']);
    expect(err.includes('has not revoked its tokens yet')).toBe(!areTokensRevoked);
  });
}

test('the list of clinics says why one is not read, and how many days are left', async () => {
  const waiting = {
    id: 'cl_2',
    name: 'Ohio',
    state: 'waiting',
    stateReason: 'its app is away',
    daysLeft: 29.9,
  };
  const { out } = await relayRun(['clinics', 'list'], {
    'GET /v1/clinics': () => page({ ...clinic, state: 'active', stateReason: null, daysLeft: null }, waiting),
  });
  expect(out.split('\n').map((line) => line.trim().split(/ {2,}/))).toEqual([
    ['ID', 'NAME', 'STATE', 'DAYS LEFT', 'WHY'],
    ['cl_1', 'Washington', 'active', '-'],
    ['cl_2', 'Ohio', 'waiting', '29.9', 'its app is away'],
    [''],
  ]);
});

describe('the status', () => {
  const status = {
    at: '2026-11-22T08:00:00.000Z',
    clinics: [
      { id: 'cl_1', name: 'Washington', state: 'active', stateReason: null },
      { id: 'cl_2', name: 'New York', state: 'needsReconnect', stateReason: 'invalid_grant', daysLeft: 12.4 },
    ],
    streams: [
      {
        clinicId: 'cl_1',
        category: 'orders',
        state: 'reading',
        startAt: '2026-09-01T08:00:00.000Z',
        readUntil: '2026-11-22T07:59:48.000Z',
        gap: { from: '2026-10-01T08:00:00.000Z', until: '2026-10-02T09:00:00.000Z' },
        lagSeconds: 12,
        lateSeconds: 0,
        problem: null,
        daysLeft: null,
      },
      {
        clinicId: 'cl_1',
        category: 'products',
        state: 'off',
        startAt: '2026-09-01T08:00:00.000Z',
        readUntil: null,
        gap: null,
        lagSeconds: 90,
        lateSeconds: 10_800,
        problem: 'answered 403',
        daysLeft: 29.5,
      },
    ],
    store: { trouble: null, restored: null },
    audits: {
      last: {
        id: 'aud_1',
        endedAt: '2026-11-22T07:30:00.000Z',
        balanced: false,
        listed: 42,
        missing: 2,
        repaired: 1,
        unlistedInNeed: 3,
      },
      running: { id: 'aud_2', streams: 18, done: 4 },
    },
    setAside: {
      count: 3,
      items: [
        {
          clinicId: 'cl_1',
          category: 'orders',
          eventId: 'evt_1',
          reason: 'retrievalFailed',
          detail: 'status 500',
          tries: 3,
          isFinal: true,
        },
        {
          clinicId: 'cl_1',
          category: 'orders',
          eventId: null,
          reason: 'noId',
          detail: 'an item without an id',
          tries: 1,
          isFinal: false,
        },
      ],
    },
    deliveries: { counts: { pending: 2, held: 0, delivered: 40 }, overdueSince: null },
    subscribers: {
      counts: { active: 1 },
      notActive: [
        { id: 'sub_1', name: 'ehr', state: 'paused', pauseReasons: ['gone'] },
        { id: 'sub_2', name: 'a; b', state: 'failing', pauseReasons: [] },
        { id: 'sub_3', name: 'old', state: 'paused', pauseReasons: ['removed'] },
      ],
    },
  };

  test('counts what there is, and names what needs somebody', async () => {
    const { exit, out, err } = await relayRun(['status'], {
      'GET /v1/status': () => ({ status: 200, json: status }),
    });
    expect(exit).toBe(0);
    expect(out).toContain('clinics      1 active, 1 needsReconnect');
    expect(out).toContain('streams      1 reading, 1 off; the slowest was last read to its end 90 s ago');
    expect(out).toContain('deliveries   2 pending, 40 delivered\n');
    expect(out).toContain(
      'New York needs to be connected again: invalid_grant. Fullscript lists all that is missing for 12.4 more days.\n',
    );
    expect(out).toContain(
      'audit        not balanced, 42 listed, at 2026-11-22T07:30:00Z; one is at 4 of 18 streams\n',
    );
    expect(out).toContain(
      'The last audit found 2 listed events missing and took in 1: relay audit aud_1\nThe last audit could not list 3 streams: relay audit aud_1\n',
    );
    expect(out).toContain('New York needs to be connected again: invalid_grant.');
    expect(out).toContain('ehr is paused (gone); what it is owed is held: relay subscribers resume ehr\n');
    expect(out).toContain(
      'a; b is failing; what it is owed is held until it takes one: relay subscribers doctor sub_2\n',
    );
    expect(out).toContain(
      'old is paused (removed); what it is owed is held until it stands in the configuration again.\n',
    );
    expect(out).toMatch(/Washington {2}products {2}off {4}- {11}29\.5 {7}answered 403/);
    expect(out).toMatch(/SET ASIDE {2}CLINIC {6}CATEGORY {2}WHY {26}TRIES {2}FINAL\n/);
    expect(out).toMatch(/evt_1 {6}Washington {2}orders {4}retrievalFailed: status 500 {2}3 {6}yes\n/);
    expect(out).toMatch(/\(no id\) {4}Washington {2}orders {4}noId: an item without an id {2}1 {6}no\n/);
    expect(err).toContain('1 more were set aside.');
    expect(out).toContain(
      'orders of Washington from 2026-10-01T08:00:00Z to 2026-10-02T09:00:00Z were not read in time: Fullscript lists 30 days.\n',
    );
  });

  test('names a gap for a month after it was noticed', async () => {
    const later = { ...status, at: '2026-12-02T08:00:00.000Z' };
    const { out } = await relayRun(['status'], { 'GET /v1/status': () => ({ status: 200, json: later }) });
    expect(out).not.toContain('not read in time');
  });

  test('says from when to when each stream is read completely, the furthest behind first', async () => {
    const answers = { 'GET /v1/status': (): Answer => ({ status: 200, json: status }) };
    const { exit, out } = await relayRun(['status', '--streams'], answers);
    expect(exit).toBe(0);
    const lines = out.split('\n').map((line) => line.split(/ {2,}/));
    expect(lines.slice(1, 3)).toEqual([
      ['Washington', 'products', 'off', '2026-09-01T08:00:00Z', '-', '3 h'],
      ['Washington', 'orders', 'reading', '2026-10-02T09:00:00Z', '2026-11-22T07:59:48Z', '-'],
    ]);
    await relay?.close();
    expect((await relayRun(['status', '--clinic', 'Washington'], answers)).exit).toBe(2);
  });

  for (const { since, says } of [
    { since: '2026-11-22T07:59:58.000Z', says: false },
    { since: '2026-11-22T07:50:00.000Z', says: true },
  ]) {
    test(`${says ? 'tells' : 'does not tell'} of deliveries that wait since ${since}`, async () => {
      const deliveries = { ...status.deliveries, overdueSince: since };
      const { out } = await relayRun(['status'], {
        'GET /v1/status': () => ({ status: 200, json: { ...status, deliveries } }),
      });
      expect(out.includes('Deliveries wait for their turn since')).toBe(says);
    });
  }

  test('says since when the store takes nothing, and what to do', async () => {
    const trouble = { message: 'The disk is full.', hint: 'Make room.', since: '2026-11-22T07:00:00.000Z' };
    const { exit, out } = await relayRun(['status'], {
      'GET /v1/status': () => ({ status: 200, json: { ...status, store: { trouble, restored: null } } }),
    });
    expect(exit).toBe(0);
    expect(out).toContain('The disk is full. So since 2026-11-22T07:00:00Z. Make room.\n');
  });

  test('says what would be enough where the request budget is not', async () => {
    const budget = { shortfall: { requestsPerFiveMinutes: 4_100, pollSecondsMax: 1_476 } };
    const { out } = await relayRun(['status'], {
      'GET /v1/status': () => ({ status: 200, json: { ...status, budget } }),
    });
    expect(out).toContain('it takes source.requestsPerFiveMinutes 4100, or source.pollSecondsMax 1476.');
  });

  for (const { because, until, says } of [
    {
      because: 'usedUp',
      until: '2026-11-22T08:04:00.000Z',
      says: 'Nothing is read since 2026-11-22T07:59:00Z, for 240 more s: the requests of five minutes are used up (source.requestsPerFiveMinutes).',
    },
    {
      because: 'vendorAsked',
      until: '2026-11-22T08:00:30.000Z',
      says: 'Nothing is read since 2026-11-22T07:59:00Z, for 30 more s: Fullscript asked the app to slow down.',
    },
    {
      because: 'manyEvents',
      until: '2026-11-22T08:00:30.000Z',
      says: 'New events of Washington wait since 2026-11-22T07:59:00Z, for 30 more s: more happened there than five minutes’ requests can retrieve (source.requestsPerFiveMinutes).',
    },
    { because: 'usedUp', until: '2026-11-22T07:59:01.000Z', says: null },
  ] as const) {
    test(`${says ? 'says' : 'does not say'} that nothing is read until ${until}: ${because}`, async () => {
      const clinicId = because === 'manyEvents' ? 'cl_1' : null;
      const standstill = { because, clinicId, since: '2026-11-22T07:59:00.000Z', until };
      const at = '2026-11-22T08:00:00.000Z';
      const { out } = await relayRun(['status'], {
        'GET /v1/status': () => ({
          status: 200,
          json: { ...status, at, budget: { shortfall: null, standstill } },
        }),
      });
      if (says === null) expect(out).not.toMatch(/Nothing is read|New events/);
      else expect(out).toContain(says);
    });
  }

  test('of a relay that just started has nothing to complain of', async () => {
    const fresh = {
      ...status,
      clinics: [],
      streams: [],
      setAside: { count: 0, items: [] },
      audits: { last: null, running: null },
      deliveries: { counts: { pending: 0 }, overdueSince: null },
      subscribers: { counts: { active: 0 }, notActive: [] },
    };
    const { out } = await relayRun(['status'], { 'GET /v1/status': () => ({ status: 200, json: fresh }) });
    expect(out.split('\n')).toEqual([
      'clinics      none',
      'streams      none',
      'subscribers  none',
      'deliveries   none',
      'set aside    0',
      'audit        none yet',
      '',
    ]);
  });
});

describe('an audit', () => {
  const none = { missing: 0, setAside: 0, failed: 0, held: 0, pending: 0, cancelled: 0, filtered: 0 };
  const stream = {
    clinicId: 'cl_1',
    category: 'orders',
    balanced: true,
    ...none,
    listed: 5,
    delivered: 5,
    withoutId: 0,
    repaired: 0,
    missingIds: [],
    problem: null,
  };
  const audit = {
    id: 'aud_1',
    state: 'done',
    repair: false,
    progress: { streams: 1, done: 1 },
    balanced: true,
    ...none,
    listed: 5,
    delivered: 5,
    withoutId: 0,
    repaired: 0,
    missingIds: [],
    unlisted: [],
    streams: [stream],
  };
  const unlisted = (reason: string) => [
    { clinicId: 'cl_1', category: 'products', reason, detail: 'status 403' },
  ];
  const shows = (ended: object) => ({ 'GET /v1/audits/aud_1': (): Answer => ({ status: 200, json: ended }) });
  const missing = { balanced: false, missing: 2, delivered: 3, missingIds: ['evt_1'] };

  test('is asked for, waited for, and shown by stream', async () => {
    let looked = 0;
    const { exit, out, err, asked } = await relayRun(['audit', '--clinic', 'Washington', '--repair'], {
      'POST /v1/audits': () => ({ status: 202, json: { ...audit, state: 'running', balanced: null } }),
      'GET /v1/audits/aud_1': () => {
        looked += 1;
        const running = { ...audit, state: 'running', balanced: null, progress: { streams: 1, done: 0 } };
        return { status: 200, json: looked < 2 ? running : audit };
      },
    });
    expect(exit).toBe(0);
    expect(asked[1]).toMatchObject({ method: 'POST', body: { clinicId: 'cl_1', repair: true } });
    expect(out).toBe(
      'CLINIC      CATEGORY  LISTED  MISSING  DELIVERED\nWashington  orders    5       0        5\n\nBalanced: 5 events listed, none is missing.\n',
    );
    expect(err).toContain('Audit aud_1 of 1 stream; it goes on without this command.');
  });

  test('that need not be waited for leaves its id', async () => {
    const { exit, out } = await relayRun(['audit', '--no-wait'], {
      'POST /v1/audits': () => ({ status: 202, json: { ...audit, state: 'running', balanced: null } }),
    });
    expect({ exit, out }).toEqual({ exit: 0, out: 'Audit aud_1 is running.\n' });
  });

  for (const { what, ended, exit, says } of [
    {
      what: 'events that were missing: 1',
      ended: { ...audit, ...missing, streams: [{ ...stream, ...missing }] },
      exit: 1,
      says: 'missing:\n  evt_1\n  and 1 more\nNot balanced: 5 events listed, 2 missing.\nrelay: 2 events that Fullscript lists were missing in the log.\n  Run it with --repair',
    },
    {
      what: 'events that were missing and are taken in: 1',
      ended: { ...audit, ...missing, repair: true, repaired: 2 },
      exit: 1,
      says: 'Not balanced: 5 events listed, 2 missing, 2 of them taken in now.\nrelay: 2 events that Fullscript lists were missing in the log.\n  They were taken in',
    },
    {
      what: 'a category that is off: 0, and it says so',
      ended: { ...audit, unlisted: unlisted('off') },
      exit: 0,
      says: 'NOT LISTED  CATEGORY  WHY  DETAIL\nWashington  products  off  status 403\n\nBalanced: 5 events listed, none is missing; it says nothing about 1 stream.\n',
    },
    {
      what: 'a stream that could not be listed: 1',
      ended: { ...audit, unlisted: unlisted('failed') },
      exit: 1,
      says: 'relay: 1 stream could not be listed.\n',
    },
    {
      what: 'an audit that somebody cancelled: 1',
      ended: { ...audit, state: 'cancelled', balanced: null },
      exit: 1,
      says: 'Cancelled after 5 events.\nrelay: Somebody cancelled the audit before its end.\n',
    },
  ]) {
    test(`exits for ${what}`, async () => {
      const told = await relayRun(['audit', 'aud_1'], shows(ended));
      expect(told.exit).toBe(exit);
      expect(told.out + told.err).toContain(says);
    });
  }

  test('with --json is the whole of it on stdout, also when something was missing', async () => {
    const ended = { ...audit, ...missing };
    const { exit, out, err } = await relayRun(['audit', 'aud_1', '--json'], shows(ended));
    expect(exit).toBe(1);
    expect(JSON.parse(out)).toEqual(ended);
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'audit_missing' } });
  });

  test('is cancelled by its id', async () => {
    const { exit, out } = await relayRun(['audit', 'aud_1', '--cancel'], {
      'DELETE /v1/audits/aud_1': () => ({
        status: 200,
        json: { ...audit, state: 'cancelled', balanced: null },
      }),
    });
    expect(exit).toBe(0);
    expect(out).toContain('Cancelled after 5 events.\n');
  });

  for (const argv of [
    ['--cancel'],
    ['aud_1', '--repair'],
    ['aud_1', '--clinic', 'Washington'],
    ['aud_1', 'aud_2'],
  ]) {
    test(`is not asked for by ${argv.join(' ')}`, async () => {
      const { exit, asked } = await relayRun(['audit', ...argv]);
      expect({ exit, asked }).toEqual({ exit: 2, asked: [] });
    });
  }
});

describe('a test of a subscriber', () => {
  for (const { answer, exit, says } of [
    { answer: { passed: true, outcome: 'accepted 200' }, exit: 0, says: 'ehr took it: accepted 200.\n' },
    {
      answer: { passed: false, outcome: 'status 500' },
      exit: 1,
      says: 'relay: ehr did not take it: status 500.\n  Look at its log, repair it, and test it again.\n',
    },
    {
      answer: { passed: false, outcome: 'handshake: The answer 200 came without JSON.', hint: 'Answer it.' },
      exit: 1,
      says: 'relay: ehr did not take it: handshake: The answer 200 came without JSON.\n  Answer it.\n',
    },
  ]) {
    test(`that ends with ${answer.outcome} ends with ${exit}`, async () => {
      const tested = await relayRun(['subscribers', 'test', 'ehr'], {
        'POST /v1/subscribers/sub_1/test': () => ({ status: 200, json: answer }),
      });
      expect(tested.exit).toBe(exit);
      expect(tested.out + tested.err).toBe(says);
    });
  }
});

describe('the doctor', () => {
  const finding = { check: 'event', grade: 'good', message: 'It was taken.', hint: null };
  const toFix = { check: 'unsigned', grade: 'fix', message: 'It was taken\u001b[2J.', hint: 'Refuse it.' };
  const route = 'POST /v1/subscribers/sub_1/doctor';

  for (const named of ['ehr', 'sub_1', 'https://ehr.example/hook', 'HTTPS://EHR.example/hook']) {
    test(`examines ${named}, and is done when nothing is to be fixed`, async () => {
      const { exit, out, err } = await relayRun(['subscribers', 'doctor', named], {
        [route]: () => ({ status: 200, json: { passed: true, findings: [finding] } }),
      });
      expect([exit, out, err]).toEqual([0, 'good     event         It was taken.\n', '']);
    });
  }

  test('says what to fix, in text that cannot act on the terminal, and ends with 1', async () => {
    const answers = {
      [route]: () => ({ status: 200, json: { passed: false, findings: [finding, toFix] } }),
    };
    const { exit, out, err } = await relayRun(['subscribers', 'doctor', 'ehr'], answers);
    expect(exit).toBe(1);
    expect(out).toBe(
      [
        'good     event         It was taken.',
        'fix      unsigned      It was taken\\u{1b}[2J.',
        '                       Refuse it.',
        '',
      ].join('\n'),
    );
    expect(err).toBe('relay: ehr has 1 to fix.\n  Repair what is named, and examine it again.\n');
  });

  test('prints its findings as JSON, too, and ends with 1', async () => {
    const json = { passed: false, findings: [finding, toFix] };
    const { exit, out } = await relayRun(['subscribers', 'doctor', 'ehr', '--json'], {
      [route]: () => ({ status: 200, json }),
    });
    expect([exit, JSON.parse(out)]).toEqual([1, json]);
  });

  for (const { named, exit, says } of [
    {
      named: 'https://other.example/hook',
      exit: 1,
      says: 'There is no subscriber at https://other.example/hook',
    },
    { named: 'http://127.0.0.1:3000/hook', exit: 2, says: '--secret-env NAME' },
    { named: 'nobody', exit: 1, says: 'There is no subscriber nobody' },
  ]) {
    test(`sends nothing to ${named}, which is no subscriber’s`, async () => {
      const examined = await relayRun(['subscribers', 'doctor', named]);
      expect([examined.exit, examined.out]).toEqual([exit, '']);
      expect(examined.err).toContain(says);
      expect(examined.asked.filter(({ method }) => method === 'POST')).toEqual([]);
    });
  }

  test('a URL that several subscribers have is not guessed', async () => {
    const { exit, err } = await relayRun(['subscribers', 'doctor', subscriber.url], {
      'GET /v1/subscribers': () => page(subscriber, { ...subscriber, id: 'sub_2', name: 'copy' }),
    });
    expect(exit).toBe(1);
    expect(err).toContain('sub_1, sub_2');
  });

  test('examines a receiver on this machine without a relay, given its secret', async () => {
    const secret = 'relay-test-secret-0123456789abcdef';
    const receiver = createServer(createReceiver({ secrets: [secret], onEvent: () => {} }));
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const { port } = receiver.address() as AddressInfo;
    const argv = ['subscribers', 'doctor', `http://127.0.0.1:${port}/hook`, '--secret-env', 'ITS_SECRET'];
    const { exit, out, asked } = await relayRun(argv, {}, { env: { ITS_SECRET: secret } });
    receiver.close();
    expect([exit, asked]).toEqual([0, []]);
    expect(out.match(/^good /gm)).toHaveLength(9);
  });
});

describe('where the relay is and how to be let in', () => {
  for (const { env, code, because } of [
    {
      env: { RELAY_URL: 'ftp://a', RELAY_TOKEN: 't' },
      code: 'relay_url_invalid',
      because: 'it is no web address',
    },
    {
      env: { RELAY_URL: 'http://u:p@a', RELAY_TOKEN: 't' },
      code: 'relay_url_invalid',
      because: 'it holds a password',
    },
    {
      env: { RELAY_URL: 'http://u@a', RELAY_TOKEN: 't' },
      code: 'relay_url_invalid',
      because: 'it names a user',
    },
    { env: { RELAY_URL: 'relay', RELAY_TOKEN: 't' }, code: 'relay_url_invalid', because: 'it is relative' },
    {
      env: { RELAY_URL: 'http://127.0.0.1:1', RELAY_TOKEN: 'a\nb' },
      code: 'relay_token_invalid',
      because: 'a token has one line',
    },
    {
      env: { RELAY_URL: 'http://127.0.0.1:1' },
      code: 'no_credentials',
      because: 'there is neither token nor secret',
    },
  ]) {
    test(`${code}: ${because}`, async () => {
      around = await outside({ env });
      expect(await run(['status', '--json'], around)).toBe(2);
      expect(JSON.parse(around.err())).toMatchObject({ error: { code } });
      expect(around.err()).not.toContain('u:p');
    });
  }

  test('a port to which no fetch connects is said to be one', async () => {
    around = await outside({ env: { RELAY_TOKEN: 't', RELAY_URL: 'http://127.0.0.1:6000' } });
    expect(await run(['status'], around)).toBe(1);
    expect(around.err()).toMatch(/^relay: Port 6000 .+\n {2}Choose another for the relay/);
  });

  test('a relay that is down is named, with the command that starts it', async () => {
    around = await outside({ env: { RELAY_TOKEN: 't', RELAY_URL: 'http://127.0.0.1:2' } });
    expect(await run(['status'], around)).toBe(1);
    expect(around.err()).toMatch(
      /^relay: No relay answers at http:\/\/127\.0\.0\.1:2 .+\n {2}Start it with `relay serve`/,
    );
  });
});
