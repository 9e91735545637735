import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createDoctor, type Examination } from '../../src/delivery/doctor.ts';
import { createHandshake } from '../../src/delivery/handshake.ts';
import { examineOnLoopback } from '../../src/delivery/loopback-doctor.ts';
import type { Post } from '../../src/delivery/post.ts';
import type { Subscriber } from '../../src/domain/subscriber.ts';
import { silentLogger } from '../../src/logger.ts';
import { memoryInbox } from '../../src/receiver/memory-inbox.ts';
import { createReceiver } from '../../src/receiver/receiver.ts';
import { type Verdict, verify } from '../../src/receiver/verify.ts';
import { simulatedClock } from '../world/clock.ts';
import { keptLog } from '../world/log.ts';
import { recipient } from '../world/recipient.ts';
import { loopbackSender } from '../world/sender.ts';
import { type Answer, type ReceivedRequest, receivingSubscriber } from '../world/subscriber.ts';

const token = 'the-challenge-token';
const userAgent = 'fullscript-relay/0.1.0';
const clock = systemClock();
const standard = recipient({
  profile: 'standard',
  secrets: [{ value: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', expiresAt: null }],
});

/** Invented events, the type and time of which can be told. */
function sampleEvent(type: string, createdAt: number): string {
  sampleEvent.made += 1;
  return `{"id":"evt_${sampleEvent.made}","type":"${type}","created_at":"${new Date(createdAt).toISOString()}"}`;
}
sampleEvent.made = 0;

function doctor(post: Post, logger = silentLogger, at = clock) {
  const shakeHands = createHandshake({ post, clock: at, logger, userAgent });
  return createDoctor({ post, shakeHands, clock: at, logger, userAgent, timeoutMs: 2_000, sampleEvent });
}

/** An endpoint that answers as it is told, examined. */
async function examined(
  subscriber: Subscriber,
  answer: (request: ReceivedRequest, verdict: Verdict | null) => Answer | Promise<Answer>,
) {
  const endpoint = await receivingSubscriber();
  const sender = loopbackSender(clock);
  onTestFinished(async () => {
    sender.close();
    await endpoint.close();
  });
  const secrets = subscriber.secrets.map(({ value }) => value);
  endpoint.answer((request) =>
    answer(request, request.body.length === 0 ? null : verify(request, { secrets })),
  );
  const examination = await doctor(sender.post)({ ...subscriber, url: endpoint.url });
  return { examination, requests: endpoint.requests };
}

function grades({ findings }: Examination): Record<string, string> {
  return Object.fromEntries(findings.map(({ check, grade }) => [check, grade]));
}

const allGood = {
  handshake: 'good',
  event: 'good',
  duplicate: 'good',
  reordered: 'good',
  unknownType: 'good',
  largeBody: 'good',
  spelling: 'good',
  unsigned: 'good',
  badSignature: 'good',
  oldTimestamp: 'good',
};

/** As a receiver should. */
function properly(verdict: Verdict | null): Answer {
  const isTaken = verdict === null || verdict.kind === 'verified';
  return isTaken ? { status: 200, body: JSON.stringify({ challenge: token }) } : { status: 401 };
}

for (const subscriber of [recipient({ challengeToken: token }), { ...standard, challengeToken: token }]) {
  test(`a receiver made with the kit has nothing to fix, in profile ${subscriber.profile}`, async () => {
    const receiver = createReceiver({
      secrets: subscriber.secrets.map(({ value }) => value),
      challengeToken: token,
      inbox: memoryInbox(),
      onEvent: () => {},
    });
    const server = createServer(receiver);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const sender = loopbackSender(clock);
    onTestFinished(() => {
      sender.close();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    const examination = await doctor(sender.post)({ ...subscriber, url: `http://127.0.0.1:${port}/hook` });
    expect(grades(examination)).toEqual(allGood);
    expect(examination.passed).toBe(true);
    expect(examination.findings[2]?.message).toContain('was known');
  });
}

test('what is sent is no delivery, signed as it says, and of types and times as it says', async () => {
  const { examination, requests } = await examined(
    recipient({ challengeToken: token }),
    (_request, verdict) => properly(verdict),
  );
  expect(grades(examination)).toEqual(allGood);
  const told = requests.map(({ headers, body }) => {
    const relayHeaders = Object.keys(headers).filter((name) => name.startsWith('relay-'));
    const verdict = verify({ headers, body }, { secrets: recipient().secrets.map(({ value }) => value) });
    return [relayHeaders.join(), verdict.kind === 'verified' ? verdict.event.type : verdict.reason];
  });
  expect(told).toEqual([
    ['', 'notAnEvent'],
    ['relay-test', 'order.placed'],
    ['relay-test', 'order.placed'],
    ['relay-test', 'order.placed'],
    ['relay-test', 'order.placed'],
    ['relay-test', 'relay_doctor.invented'],
    ['relay-test', 'order.placed'],
    ['relay-test', 'order.placed'],
    ['relay-test', 'unsigned'],
    ['relay-test', 'mismatch'],
    ['relay-test', 'expired'],
  ]);
  expect(requests[2]?.body).toEqual(requests[1]?.body);
  const createdAt = (at: number) => JSON.parse(String(requests[at]?.body)).event.created_at as string;
  expect(createdAt(4) < createdAt(3)).toBe(true);
  expect(requests[6]?.body.length).toBeGreaterThan(256 * 1024);
});

describe('what has to be fixed is named', () => {
  const seen = new Set<unknown>();
  for (const { name, fix, answer } of [
    {
      name: 'checks no signature',
      fix: ['unsigned', 'badSignature', 'oldTimestamp'],
      answer: () => properly(null),
    },
    {
      name: 'checks a signature only where there is one',
      fix: ['unsigned'],
      answer: (_request, verdict) =>
        properly(verdict?.kind === 'refused' && verdict.reason === 'unsigned' ? null : verdict),
    },
    {
      name: 'believes any time',
      fix: ['oldTimestamp'],
      answer: (_request, verdict) =>
        properly(verdict?.kind === 'refused' && verdict.reason === 'expired' ? null : verdict),
    },
    {
      name: 'looks at the signature of the empty request',
      fix: ['handshake'],
      answer: (_request, verdict) => (verdict === null ? { status: 401 } : properly(verdict)),
    },
    {
      name: 'refuses what it has had',
      fix: ['duplicate'],
      answer: ({ body }, verdict) => {
        if (verdict?.kind === 'verified' && seen.has(String(body))) return { status: 409 };
        seen.add(String(body));
        return properly(verdict);
      },
    },
    {
      name: 'knows its types only',
      fix: ['unknownType'],
      answer: ({ body }, verdict) =>
        String(body).includes('relay_doctor') ? { status: 422 } : properly(verdict),
    },
    {
      name: 'has a parser with a limit',
      fix: ['largeBody'],
      answer: ({ body }, verdict) => (body.length > 100_000 ? { status: 413 } : properly(verdict)),
    },
    {
      name: 'verifies what a parser made of the bytes',
      fix: ['spelling'],
      answer: ({ headers, body }, verdict) => {
        if (verdict?.kind !== 'verified') return properly(verdict);
        const anew = JSON.stringify(JSON.parse(String(body)));
        return properly(
          verify({ headers, body: anew }, { secrets: recipient().secrets.map(({ value }) => value) }),
        );
      },
    },
    {
      name: 'acknowledges without the token',
      fix: ['event'],
      answer: (_request, verdict) =>
        verdict?.kind === 'verified' ? { status: 200, body: '{}' } : properly(verdict),
    },
    { name: 'is moved', fix: ['handshake', 'event'], answer: () => ({ status: 308 }) },
    {
      name: 'handles copies again, by its own word',
      fix: ['duplicate'],
      answer: (_request, verdict) =>
        verdict?.kind === 'refused'
          ? { status: 401 }
          : { status: 200, body: JSON.stringify({ challenge: token, received: 'handled' }) },
    },
  ] satisfies {
    name: string;
    fix: string[];
    answer: (request: ReceivedRequest, verdict: Verdict | null) => Answer;
  }[]) {
    test(`a receiver that ${name}: ${fix.join(', ')}`, async () => {
      const { examination } = await examined(recipient({ challengeToken: token }), answer);
      const toFix = examination.findings.filter(({ grade }) => grade === 'fix');
      expect(toFix.map(({ check }) => check)).toEqual(fix);
      for (const { message, hint } of toFix) {
        expect(message).toMatch(/^[A-Z].*\.$/);
        expect(hint).toMatch(/\.$/);
      }
      expect(examination.passed).toBe(false);
      expect(JSON.stringify(examination)).not.toContain(token);
    });
  }

  test('an older event after a newer one', async () => {
    let newest = '';
    const { examination } = await examined(recipient({ challengeToken: token }), ({ body }, verdict) => {
      if (verdict?.kind !== 'verified') return properly(verdict);
      const createdAt = JSON.parse(String(body)).event.created_at as string;
      if (createdAt < newest) return { status: 409 };
      newest = createdAt;
      return properly(verdict);
    });
    expect(grades(examination)).toEqual({ ...allGood, reordered: 'fix' });
  });
});

for (const { status, hint } of [
  { status: 500, hint: 'fault of the receiver' },
  { status: 410, hint: '410 tells the relay to stop' },
  { status: 302, hint: 'Answer 401' },
]) {
  test(`a forged request that is answered ${status} is refused, and easily misread`, async () => {
    const { examination } = await examined(recipient({ challengeToken: token }), (_request, verdict) =>
      verdict?.kind === 'refused' ? { status } : properly(verdict),
    );
    expect(examination.passed).toBe(true);
    for (const finding of examination.findings.slice(-3)) {
      expect(finding).toMatchObject({ grade: 'warning', hint: expect.stringContaining(hint) });
    }
  });
}

test('a plain event that is not taken makes the rest say nothing, and nothing more is sent', async () => {
  const { examination, requests } = await examined(recipient(), () => ({ status: 500 }));
  expect(requests).toHaveLength(1);
  const { handshake, event, ...rest } = grades(examination);
  expect([handshake, event]).toEqual(['skipped', 'fix']);
  expect(new Set(Object.values(rest))).toEqual(new Set(['skipped']));
  expect(examination.passed).toBe(false);
});

for (const { eventTypes, sent, unknown } of [
  { eventTypes: ['patient.*'], sent: 'patient.created', unknown: 'patient.relay_doctor_invented' },
  { eventTypes: ['patient.updated'], sent: 'patient.updated', unknown: null },
  { eventTypes: ['visit.*'], sent: 'visit.sample', unknown: 'visit.relay_doctor_invented' },
  { eventTypes: ['visit.booked'], sent: 'visit.booked', unknown: null },
  { eventTypes: ['patient.created', '*'], sent: 'order.placed', unknown: 'relay_doctor.invented' },
]) {
  test(`a receiver of ${eventTypes} gets nothing that its filter keeps from it`, async () => {
    const types: unknown[] = [];
    const { examination } = await examined(recipient({ eventTypes }), ({ body }, verdict) => {
      types.push(JSON.parse(String(body)).event.type);
      return properly(verdict);
    });
    expect(new Set(types)).toEqual(new Set([sent, ...(unknown === null ? [] : [unknown])]));
    expect(grades(examination).unknownType).toBe(unknown === null ? 'skipped' : 'good');
  });
}

test('a receiver of thin events gets no large one', async () => {
  const { examination, requests } = await examined(recipient({ thin: true }), (_request, verdict) =>
    properly(verdict),
  );
  expect(grades(examination)).toEqual({
    ...allGood,
    handshake: 'skipped',
    largeBody: 'skipped',
    spelling: 'skipped',
  });
  for (const { body } of requests) expect(body.length).toBeLessThan(1_000);
});

test('it takes 45 seconds at most: what a slow receiver leaves no time for is skipped', async () => {
  const time = simulatedClock(0);
  const slow: Post = async ({ timeoutMs }) => {
    expect(timeoutMs).toBeLessThanOrEqual(2_000);
    await time.advance(11_000);
    const answer = Buffer.alloc(0);
    return {
      kind: 'answered',
      status: 200,
      answer,
      retryAfter: undefined,
      location: undefined,
      isTruncated: false,
      durationMs: 11_000,
      reusedConnection: false,
    };
  };
  const { passed, findings } = await doctor(slow, silentLogger, time)(recipient());
  expect(findings[1]).toMatchObject({ grade: 'warning', message: expect.stringContaining('11.0 s') });
  expect(findings.slice(-4).map(({ grade }) => grade)).toEqual(['skipped', 'skipped', 'skipped', 'skipped']);
  expect(passed).toBe(true);
});

test('one receiver is examined once at a time, and again afterwards', async () => {
  let answer = () => {};
  const waiting = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const post: Post = async ({ timeoutMs }) => {
    await waiting;
    return { kind: 'timedOut', phase: 'headers', timeoutMs };
  };
  const examine = doctor(post);
  const first = examine(recipient());
  await expect(examine(recipient())).rejects.toMatchObject({ code: 'doctor_running' });
  answer();
  expect((await first).passed).toBe(false);
  expect((await examine(recipient())).passed).toBe(false);
});

test('the log names the subscriber and what is to be fixed, and nothing of the requests', async () => {
  const { logger, lines } = keptLog();
  await doctor(
    async () => ({ kind: 'unreachable', error: 'refused', code: 'ECONNREFUSED' }),
    logger,
  )(recipient());
  expect(lines).toEqual([
    { level: 'info', message: 'doctor', facts: { subscriberId: 'sub_1', toFix: 'event' } },
  ]);
});

test('without a relay nothing but this machine is dialled', async () => {
  const dependencies = { clock, userAgent, timeoutMs: 500, sampleEvent };
  for (const url of [
    'https://8.8.8.8/hook',
    'https://192.0.2.1/hook',
    'http://10.0.0.1:3000/hook',
    'http://169.254.169.254/',
  ]) {
    const { findings } = await examineOnLoopback(dependencies, recipient({ url }));
    expect(findings[1]).toMatchObject({ grade: 'fix', message: expect.stringContaining('does not dial') });
  }
});
