import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { type Answer, type StandIn, standIn } from '../client/stand-in.ts';
import { type Outside, outside } from './outside.ts';

let relay: StandIn | null = null;
let around: (Outside & { discard(): Promise<void> }) | null = null;
afterEach(async () => {
  await relay?.close();
  await around?.discard();
});

const page = (...data: unknown[]): Answer => ({ status: 200, json: { data, nextCursor: null } });

const event = (id: string, changes: object = {}) => ({
  id,
  type: 'order.placed',
  category: 'orders',
  state: 'shadow',
  createdAt: '2026-11-21T08:00:00.000Z',
  ...changes,
});

async function relayRun(
  argv: readonly string[],
  {
    list = '',
    stdin = '',
    clinics = [{ id: 'cl_1', name: 'Washington' }],
    failsAfter = 1_000,
  }: { list?: string; stdin?: string; clinics?: readonly object[]; failsAfter?: number } = {},
) {
  let imports = 0;
  relay = await standIn((request): Answer => {
    const route = `${request.method} ${request.path.split('?')[0]}`;
    if (route === 'GET /v1/clinics') return page(...clinics);
    if (route === 'GET /v1/events') {
      return page(
        event('both'),
        event('relay-only'),
        event('imported-only', { state: 'imported', category: '', createdAt: null }),
      );
    }
    if (route === 'POST /v1/seen') {
      if (imports++ >= failsAfter) {
        return { status: 409, json: { code: 'x', detail: 'It failed.', hint: 'Look.' } };
      }
      const { eventIds } = request.body as { eventIds: string[] };
      return { status: 200, json: { recorded: eventIds.length, withheld: 0, known: 0, owed: 0 } };
    }
    return { status: 404, json: { code: 'not_found', detail: `There is no ${route}.`, hint: 'Look.' } };
  });
  around = await outside({ stdin, env: { RELAY_URL: relay.url, RELAY_TOKEN: 't' } });
  writeFileSync(join(around.folder, 'list'), list);
  const exit = await run(['seen', ...argv], around);
  const posted = relay.seen.filter(({ method }) => method === 'POST').map(({ body }) => body);
  return { exit, out: around.out(), err: around.err(), posted };
}

describe('relay seen import', () => {
  for (const { list, because } of [
    { list: 'a\nb\n\r\nb\n', because: 'one id a line, empty and doubled ones passed over' },
    { list: '\uFEFFid,type\r\na,order.placed\r\n"b",x\r\n', because: 'CSV with a first line' },
    { list: '{"id":"a","type":"order.placed"}\n{"event_id":"b"}', because: 'a JSON object a line' },
  ]) {
    test(`takes over a list: ${because}`, async () => {
      const { exit, out, posted } = await relayRun(['import', 'list'], { list });
      expect(exit).toBe(0);
      expect(posted).toEqual([{ clinicId: 'cl_1', eventIds: ['a', 'b'], dryRun: false }]);
      expect(out).toContain('2 ids were taken over');
    });
  }

  test('reads standard input, in bounded requests, and a dry run says so', async () => {
    const stdin = Array.from({ length: 1_201 }, (_, at) => `evt_${at}`).join('\n');
    const { exit, posted, out } = await relayRun(['import', '-', '--dry-run', '--json'], { stdin });
    expect(exit).toBe(0);
    expect(posted.map((body) => (body as { eventIds: string[] }).eventIds.length)).toEqual([1_000, 201]);
    expect(posted.every((body) => (body as { dryRun: boolean }).dryRun)).toBe(true);
    expect(JSON.parse(out)).toMatchObject({ dryRun: true, ids: 1_201, recorded: 1_201 });
  });

  test('bad lines are named by number, and nothing is taken over', async () => {
    const list = `a\n{"id":7}\nb\n{broken\n"open,x\n${'x'.repeat(2_000)}\n`;
    const { exit, err, posted } = await relayRun(['import', 'list'], { list });
    expect(exit).toBe(2);
    expect(err).toContain('lines 2, 4, 5, 6;');
    expect(posted).toEqual([]);
  });

  test('one that is cut off says how far it came', async () => {
    const list = Array.from({ length: 1_800 }, (_, at) => `evt_${at}`).join('\n');
    const { exit, err } = await relayRun(['import', 'list'], { list, failsAfter: 1 });
    expect(exit).toBe(1);
    expect(err).toContain('1000 of 1800 ids were taken over, then it failed.');
    expect(err).toContain('Run it again');
  });

  test('where there are several clinics one has to be named', async () => {
    const clinics = [
      { id: 'cl_1', name: 'Washington' },
      { id: 'cl_2', name: 'New York' },
    ];
    const { exit, err } = await relayRun(['import', 'list'], { list: 'a', clinics });
    expect(exit).toBe(2);
    expect(err).toContain('--clinic');
    await relay?.close();
    await around?.discard();
    const named = await relayRun(['import', 'list', '--clinic', 'New York'], { list: 'a', clinics });
    expect(named.posted).toMatchObject([{ clinicId: 'cl_2' }]);
    await relay?.close();
    await around?.discard();
    const both = await relayRun(['import', 'list', '--clinic', 'New York', '--all-clinics'], {
      list: 'a',
      clinics,
    });
    expect([both.exit, both.posted]).toEqual([2, []]);
  });

  test('a list that does not tell whose its events are is taken for each clinic’s', async () => {
    const clinics = [
      { id: 'cl_1', name: 'Washington', state: 'active' },
      { id: 'cl_2', name: 'New York', state: 'paused' },
      { id: 'con_3', name: 'Boston', state: 'connecting' },
    ];
    const { exit, out, posted } = await relayRun(['import', 'list', '--all-clinics'], {
      list: 'a\nb',
      clinics,
    });
    expect(exit).toBe(0);
    expect(posted).toMatchObject([{ clinicId: 'cl_1' }, { clinicId: 'cl_2' }]);
    expect(out).toContain('2 ids were taken over as handled elsewhere in each of 2 clinics:\n  4 the relay');
  });

  test('a comparison over all clinics asks for the events of each', async () => {
    const clinics = [
      { id: 'cl_1', name: 'Washington', state: 'active' },
      { id: 'cl_2', name: 'New York', state: 'active' },
    ];
    const { exit } = await relayRun(['compare', 'list', '--all-clinics'], {
      list: 'both\nrelay-only',
      clinics,
    });
    expect(exit).toBe(0);
    const asked = relay?.seen.filter(({ path }) => path.startsWith('/v1/events')).map(({ path }) => path);
    expect(asked).toEqual([
      expect.stringContaining('clinicId=cl_1'),
      expect.stringContaining('clinicId=cl_2'),
    ]);
  });

  for (const { file, list, because } of [
    { file: 'none', list: 'a', because: 'there is no such file' },
    { file: '.', list: 'a', because: 'it is a folder' },
    { file: 'list', list: '\n\n', because: 'it holds nothing' },
  ]) {
    test(`a list is refused: ${because}`, async () => {
      const { exit, posted } = await relayRun(['import', file], { list });
      expect(exit).toBe(2);
      expect(posted).toEqual([]);
    });
  }
});

describe('relay seen compare', () => {
  test('names what only the list has, counts both ways by category and day, and exits with 1', async () => {
    const list =
      'both\n{"id":"lost","type":"order.placed","created_at":"2026-11-20T08:00:00Z"}\nimported-only\n';
    const { exit, out, err, posted } = await relayRun(['compare', 'list'], { list });
    expect(exit).toBe(1);
    expect(out).toMatch(/order\.placed +2026-11-20 +0 +1 +0/);
    expect(out).toMatch(/orders +2026-11-21 +1 +0 +1/);
    expect(out).toContain('1 in both, 2 only in the list, 1 only in the relay.');
    expect(out).toContain('only in the list: lost');
    expect(err).toContain('never saw 2');
    expect(posted).toEqual([]);
  });

  test('is content when the relay saw all of the list since a moment', async () => {
    const list = 'both\n{"id":"lost","created_at":"2026-11-01T08:00:00Z"}\n';
    const { exit, out } = await relayRun(['compare', 'list', '--since', '2026-11-10', '--json'], { list });
    expect(exit).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ both: 1, missing: [], extra: 1 });
  });
});
