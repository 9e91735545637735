import { afterEach, expect, test } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { type Answer, type StandIn, standIn } from '../client/stand-in.ts';
import { simulatedClock } from '../world/clock.ts';
import { outside } from './outside.ts';

const link = {
  authorizeUrl: 'http://vendor/oauth/authorize?state=sealed',
  connectionId: 'con_1',
  expiresAt: '2026-11-22T08:10:00.000Z',
};
const outcome = (state: string, more: object = {}): Answer => ({
  status: 200,
  json: { state, clinicId: null, name: null, reason: 'nobody has used the link yet', ...more },
});
const isConnected = outcome('connected', { clinicId: 'cl_1', name: 'Washington', reason: null });

let relay: StandIn;
afterEach(() => relay.close());

/** @param looks what the relay answers to one look after the other; the last one for good. */
async function connecting(
  argv: readonly string[],
  looks: readonly Answer[],
  stopAfter = Number.POSITIVE_INFINITY,
) {
  const left = [...looks];
  let looked = 0;
  relay = await standIn(({ method }) => {
    if (method === 'POST') return { status: 201, json: link };
    looked += 1;
    if (looked > stopAfter) around.stop();
    return (left.length > 1 ? left.shift() : left[0]) ?? { destroy: true };
  });
  const clock = simulatedClock(Date.parse('2026-11-22T08:00:00Z'));
  const around = await outside({ clock, env: { RELAY_URL: relay.url, RELAY_TOKEN: 't' } });
  let isOver = false;
  const running = run(['clinics', 'connect', ...argv], around).finally(() => {
    isOver = true;
  });
  while (!isOver) await clock.advance(500);
  const exit = await running;
  await around.discard();
  return { exit, out: around.out(), err: around.err(), looked, tookMs: clock.monotonic() };
}

test('it prints the link, says what it waits for, and tells when the clinic is connected', async () => {
  const saved = outcome('waiting', { reason: 'the permission is saved' });
  const { exit, out, err } = await connecting(
    ['--name', 'Washington'],
    [outcome('waiting'), saved, saved, isConnected],
  );
  expect(exit).toBe(0);
  expect(out).toBe(`${link.authorizeUrl}\nWashington (cl_1) is connected.\n`);
  expect(err.split('\n').slice(0, -1)).toEqual([
    'A user of the clinic opens this link, within ten minutes and once, and allows the app there:',
    'Waiting for that; Ctrl-C stops the waiting, and leaves the link as it is.',
    'Waiting: the permission is saved.',
  ]);
  expect(relay.seen[0]).toMatchObject({ body: { name: 'Washington' } });
});

test('without a name it asks for none', async () => {
  await connecting(['--no-wait'], []);
  expect(relay.seen).toMatchObject([{ path: '/v1/clinics/connect', body: {} }]);
});

test('--no-wait prints the link and is done', async () => {
  expect(await connecting(['--no-wait'], [])).toMatchObject({
    exit: 0,
    out: `${link.authorizeUrl}\n`,
    looked: 0,
  });
  await relay.close();
  expect(JSON.parse((await connecting(['--no-wait', '--json'], [])).out)).toEqual(link);
});

test('--json prints one document when it is over, and the link beside it', async () => {
  const { out, err } = await connecting(['--json'], [outcome('waiting'), isConnected]);
  expect(JSON.parse(out)).toMatchObject({ connectionId: 'con_1', state: 'connected', clinicId: 'cl_1' });
  expect(err).toContain(link.authorizeUrl);
});

test('it fails when access was denied, and says why', async () => {
  const denied = outcome('failed', { reason: 'access was denied at Fullscript' });
  const { exit, err } = await connecting([], [outcome('waiting'), denied]);
  expect(exit).toBe(1);
  expect(err).toContain('relay: No clinic was connected: access was denied at Fullscript.');
});

test('it gives up shortly after the link has expired', async () => {
  const { exit, err, tookMs } = await connecting([], [outcome('waiting')]);
  expect(exit).toBe(1);
  expect(err).toContain('relay: The link has expired: nobody has used the link yet.');
  expect(tookMs).toBeGreaterThan(10 * 60_000);
  expect(tookMs).toBeLessThan(11 * 60_000);
});

test('Ctrl-C ends the waiting at once, and says how long the link stays good', async () => {
  const { exit, err, looked } = await connecting([], [outcome('waiting')], 2);
  expect(exit).toBe(1);
  expect(looked).toBe(3);
  expect(err).toContain('It is good until 2026-11-22T08:10:00Z');
});

test('a relay that starts again meanwhile is waited for', async () => {
  const { exit, err } = await connecting(
    [],
    [outcome('waiting'), { destroy: true }, { destroy: true }, isConnected],
  );
  expect(exit).toBe(0);
  expect(err.split('The relay does not answer')).toHaveLength(2);
});
