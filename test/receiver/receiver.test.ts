import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createHandshake } from '../../src/delivery/handshake.ts';
import type { Answered } from '../../src/delivery/post.ts';
import { silentLogger } from '../../src/logger.ts';
import { memoryInbox } from '../../src/receiver/memory-inbox.ts';
import type { ReceivedEvent } from '../../src/receiver/received-event.ts';
import { createReceiver, type Receiver, type ReceiverOptions } from '../../src/receiver/receiver.ts';
import type { Gap } from '../../src/receiver/sequence-watch.ts';
import { fullscript } from '../../src/wire/fullscript.ts';
import { quiet } from '../world/eventually.ts';
import { loopbackSender } from '../world/sender.ts';
import { eventText, fullscriptSecret, now, signed, speakers, standardSecret } from './signed.ts';

const token = 'the-challenge-token';

/** Serves what is given at an address of its own, and posts to it with the relay's sender. */
async function served(listener: Receiver | express.Express) {
  const server = createServer(listener as Receiver);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/hook`;
  const sender = loopbackSender(systemClock());
  onTestFinished(async () => {
    sender.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const post = async (request: { headers: Readonly<Record<string, string>>; body: Buffer }) => {
    const answer = await sender.post({ url, ...request, timeoutMs: 5_000, needsAnswerBody: true });
    if (answer.kind !== 'answered') throw new Error(JSON.stringify(answer));
    return answer;
  };
  return { url, port, sender, post };
}

async function receiving(changes: Partial<ReceiverOptions> = {}) {
  const events: ReceivedEvent[] = [];
  const errors: unknown[] = [];
  const receiver = createReceiver({
    secrets: [fullscriptSecret, standardSecret],
    now: () => now,
    onEvent: (event) => events.push(event),
    onError: (error) => errors.push(error),
    ...changes,
  });
  return { events, errors, receiver, ...(await served(receiver)) };
}

function told({ status, answer }: Answered): unknown {
  return { status, ...JSON.parse(answer.toString()) };
}

describe('an event', () => {
  for (const [profile, to] of Object.entries(speakers)) {
    test(`of profile ${profile} is handled once, and every copy is acknowledged as the relay asks`, async () => {
      const { events, post } = await receiving({ challengeToken: token });
      const first = await post(signed({ to }));
      expect(told(first)).toEqual({ status: 200, challenge: token, received: 'handled' });
      expect(fullscript.acknowledges({ ...to, challengeToken: token }, first.status, first.answer)).toBe(
        'accepted',
      );
      const again = await post(signed({ to, attempt: 2, at: now + 1_000 }));
      expect(told(again)).toEqual({ status: 200, challenge: token, received: 'duplicate' });
      expect(events).toEqual([JSON.parse(eventText())]);
    });
  }

  test('is acknowledged only after its handler is done', async () => {
    const steps: string[] = [];
    let finish = () => {};
    const begun = new Promise<void>((started) => {
      finish = started;
    });
    let release = () => {};
    const work = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { post } = await receiving({
      onEvent: async () => {
        finish();
        await work;
        steps.push('handled');
      },
    });
    const answered = post(signed()).then(() => steps.push('acknowledged'));
    await begun;
    await quiet();
    expect(steps).toEqual([]);
    release();
    await answered;
    expect(steps).toEqual(['handled', 'acknowledged']);
  });

  test('whose handler fails is answered 500, which tells nothing, and is handled when it comes again', async () => {
    let isDown = true;
    const { events, errors, post } = await receiving({
      onEvent: (event) => {
        if (isDown) throw new Error(`no database for ${JSON.stringify(event)}`);
        events.push(event);
      },
    });
    const failed = await post(signed());
    expect(failed.status).toBe(500);
    expect(failed.answer.toString()).not.toContain('Zoë');
    expect(errors).toHaveLength(1);
    isDown = false;
    expect(told(await post(signed({ attempt: 2 })))).toMatchObject({ status: 200, received: 'handled' });
  });

  test('that another process is handling is asked for again in five seconds', async () => {
    const { post, events } = await receiving({
      inbox: { ...memoryInbox(), claim: async () => 'busy' },
    });
    expect(await post(signed())).toMatchObject({ status: 503, retryAfter: '5' });
    expect(events).toEqual([]);
  });

  for (const { handleReplays, runs } of [
    { handleReplays: false, runs: 1 },
    { handleReplays: true, runs: 2 },
  ]) {
    test(`that is replayed runs ${runs} times where replays are ${handleReplays ? '' : 'not '}let through`, async () => {
      const { events, post } = await receiving({ handleReplays });
      await post(signed());
      const replayed = await post(signed({ round: 2, attempt: 2, at: now + 1_000 }));
      await post(signed({ round: 2, attempt: 3, at: now + 2_000 }));
      expect(replayed.status).toBe(200);
      expect(events).toHaveLength(runs);
    });
  }
});

describe('a request that is not genuine', () => {
  for (const { name, request, status, error } of [
    { name: 'unsigned', request: { ...signed(), headers: {} }, status: 401, error: 'unsigned' },
    {
      name: 'changed',
      request: { ...signed(), body: Buffer.from('{"event":{}}') },
      status: 401,
      error: 'mismatch',
    },
    { name: 'old', request: signed({ at: now - 600_000 }), status: 401, error: 'expired' },
    { name: 'no event', request: signed({ event: '[]' }), status: 400, error: 'notAnEvent' },
  ]) {
    test(`(${name}) is refused with ${status}, says why, and reaches no handler`, async () => {
      const { events, errors, post } = await receiving({ challengeToken: token });
      const answer = await post(request);
      expect(told(answer)).toEqual({ status, error, message: expect.any(String) });
      expect([events, errors]).toEqual([[], []]);
    });
  }

  test('is refused when it is too large, however it says how long it is, and the next one is served', async () => {
    const { post, port, events } = await receiving({ bodyBytesMax: 1_000 });
    expect((await post({ ...signed(), body: Buffer.alloc(200_000, 'x') })).status).toBe(413);
    const status = await new Promise((resolve, reject) => {
      const chunked = httpRequest({ port, method: 'POST', path: '/hook' }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      chunked.on('error', reject);
      for (let part = 0; part < 20; part += 1) chunked.write('x'.repeat(1_000));
      chunked.end();
    });
    expect(status).toBe(413);
    expect((await post(signed())).status).toBe(200);
    expect(events).toHaveLength(1);
  });

  test('is refused when it is no POST', async () => {
    const { url } = await receiving();
    const answer = await fetch(url);
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST']);
  });

  test('that breaks off disturbs nobody', async () => {
    const { post, port, errors, events } = await receiving();
    await new Promise((resolve) => {
      const broken = httpRequest({
        port,
        method: 'POST',
        path: '/hook',
        headers: { 'content-length': '100' },
      });
      broken.on('error', resolve);
      broken.write('half', () => broken.destroy(new Error('gone')));
    });
    expect((await post(signed())).status).toBe(200);
    expect([errors, events.length]).toEqual([[], 1]);
  });
});

describe('the empty request', () => {
  test('is answered with the challenge token, as the relay’s handshake asks, while a handler hangs', async () => {
    const { url, sender, post } = await receiving({
      challengeToken: token,
      onEvent: () => new Promise(() => {}),
    });
    void post(signed()).catch(() => {});
    const shake = createHandshake({
      post: sender.post,
      clock: systemClock(),
      logger: silentLogger,
      userAgent: 'relay/1',
    });
    expect(await shake({ ...speakers.fullscript, url, challengeToken: token })).toMatchObject({
      kind: 'passed',
    });
  });

  test('is told what is missing where there is no challenge token', async () => {
    const { post } = await receiving();
    expect(told(await post({ headers: {}, body: Buffer.alloc(0) }))).toMatchObject({
      status: 400,
      error: 'noChallengeToken',
    });
  });
});

test('gaps are told to who asked for them', async () => {
  const gaps: Gap[] = [];
  const clock = { now };
  const { post } = await receiving({
    now: () => clock.now,
    onGap: (gap) => gaps.push(gap),
    gapAfterMs: 60_000,
  });
  await post(signed({ event: eventText('evt_1'), sequence: 1 }));
  await post(signed({ event: eventText('evt_4'), sequence: 4 }));
  expect(gaps).toEqual([]);
  clock.now += 60_000;
  await post(signed({ event: eventText('evt_5'), sequence: 5 }));
  expect(gaps).toEqual([{ from: 2, to: 3, missingForMs: 60_000 }]);
});

test('a retry from before its time is no beginning: no gap is told from there on', async () => {
  const gaps: Gap[] = [];
  const clock = { now };
  const { post } = await receiving({ now: () => clock.now, onGap: (gap) => gaps.push(gap), gapAfterMs: 0 });
  await post(signed({ event: eventText('evt_1'), sequence: 1, attempt: 4 }));
  await post(signed({ event: eventText('evt_2'), sequence: 2, round: 2 }));
  await post(signed({ event: eventText('evt_9'), sequence: 900 }));
  expect(gaps).toEqual([]);
});

test('whoever hears of gaps and errors decides nothing about the event, even by throwing', async () => {
  const { events, post } = await receiving({
    gapAfterMs: 0,
    onGap: () => {
      throw new Error('the pager is down');
    },
    onError: () => {
      throw new Error('and so is the log');
    },
  });
  const printed = vi.spyOn(console, 'error').mockReturnValue();
  onTestFinished(() => printed.mockRestore());
  await post(signed({ event: eventText('evt_1'), sequence: 1 }));
  expect(await post(signed({ event: eventText('evt_3'), sequence: 3 }))).toMatchObject({ status: 200 });
  expect(events.map(({ id }) => id)).toEqual(['evt_1', 'evt_3']);
  expect(String(printed.mock.calls[0]?.[1])).toContain('and so is the log');
});

describe('in an Express app', () => {
  async function inApp(mount: (app: express.Express, receiver: Receiver) => void) {
    const { receiver, events, errors } = await receiving({ challengeToken: token });
    const app = express();
    mount(app, receiver);
    return { ...(await served(app)), events, errors };
  }

  for (const { name, mount } of [
    {
      name: 'before the body parsers',
      mount: (app, receiver) => app.post('/hook', receiver).use(express.json()),
    },
    {
      name: 'after express.raw',
      mount: (app, receiver) => app.post('/hook', express.raw({ type: '*/*' }), receiver),
    },
    {
      name: 'after a parser of other types',
      mount: (app, receiver) => app.use(express.urlencoded()).post('/hook', receiver),
    },
  ] satisfies { name: string; mount: (app: express.Express, receiver: Receiver) => unknown }[]) {
    test(`${name} it has the bytes that were signed`, async () => {
      const { post, events } = await inApp(mount);
      expect((await post(signed())).status).toBe(200);
      expect(events).toHaveLength(1);
      expect(told(await post({ headers: {}, body: Buffer.alloc(0) }))).toMatchObject({ challenge: token });
    });
  }

  test('what a parser kept is held to the limit, too', async () => {
    const receiver = createReceiver({ secrets: [fullscriptSecret], onEvent: () => {}, bodyBytesMax: 100 });
    const { post } = await served(express().post('/hook', express.raw({ type: '*/*' }), receiver));
    expect((await post(signed())).status).toBe(413);
  });

  test('after a parser that took the body, it says what to do', async () => {
    const { post, errors } = await inApp((app, receiver) => app.use(express.json()).post('/hook', receiver));
    expect((await post(signed())).status).toBe(500);
    expect(errors).toMatchObject([
      { code: 'body_consumed', hint: expect.stringContaining('before express.json()') },
    ]);
  });
});

describe('options that cannot be meant', () => {
  const good: ReceiverOptions = { secrets: [fullscriptSecret], onEvent: () => {} };
  for (const { changes, says } of [
    { changes: { secrets: [undefined] }, says: 'secrets[0] is not set' },
    { changes: { onEvent: undefined as never }, says: 'onEvent is no function' },
    { changes: { challengeToken: '' }, says: 'challengeToken is empty' },
    { changes: { bodyBytesMax: 0 }, says: 'bodyBytesMax' },
    { changes: { gapAfterMs: Number.NaN }, says: 'gapAfterMs' },
  ]) {
    test(`throw at once: ${says}`, () => {
      expect(() => createReceiver({ ...good, ...changes })).toThrow(
        expect.objectContaining({
          code: 'receiver_options_invalid',
          message: expect.stringContaining(says),
        }),
      );
    });
  }
});
