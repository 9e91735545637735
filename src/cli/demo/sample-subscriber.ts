import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A receiver as somebody outside would write it from the documentation alone: it shares no code with the relay. */
export interface SampleSubscriber {
  readonly name: string;
  readonly url: string;
  close(): Promise<void>;
}

export interface SampleOptions {
  readonly name: string;
  readonly profile: 'fullscript' | 'standard';
  readonly secret: string;
  readonly challengeToken: string | null;
  /** The status it answers to the n-th delivery attempt of an event, counted from 1. */
  readonly answer: (eventId: string, attempt: number) => number;
  readonly onReceipt: (receipt: Receipt) => void;
}

/** One POST as the subscriber saw it. */
export interface Receipt {
  readonly subscriber: string;
  /** Empty for the request of the handshake. */
  readonly eventId: string;
  readonly type: string;
  readonly clinicId: string | null;
  readonly deliveryId: string;
  readonly attempt: number;
  readonly isSignatureValid: boolean;
  /** The exact text of the event object. */
  readonly eventText: string;
  readonly status: number;
}

const toleranceSeconds = 300;
const envelopeHead = '{"event":';

export async function startSampleSubscriber(options: SampleOptions): Promise<SampleSubscriber> {
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const isSignatureValid =
        options.profile === 'fullscript'
          ? isFullscriptSigned(request, body, options.secret)
          : isStandardSigned(request, body, options.secret);
      const answer = { challenge: options.challengeToken };
      if (body.length === 0) {
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
        return;
      }
      const receipt = read(body.toString(), options, request, isSignatureValid);
      response.writeHead(receipt.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
      options.onReceipt(receipt);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    name: options.name,
    url: `http://127.0.0.1:${port}/hook`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function read(
  text: string,
  options: SampleOptions,
  request: IncomingMessage,
  isSignatureValid: boolean,
): Receipt {
  const isWrapped = options.profile === 'fullscript';
  const eventText = isWrapped ? text.slice(envelopeHead.length, -1) : text;
  const event = JSON.parse(eventText) as { id: string; type: string; clinic_id?: string };
  const attempt = Number(request.headers['relay-attempt']);
  return {
    subscriber: options.name,
    eventId: event.id,
    type: event.type,
    clinicId: event.clinic_id ?? null,
    deliveryId: String(request.headers['relay-delivery-id']),
    attempt,
    isSignatureValid,
    eventText,
    status: isSignatureValid ? options.answer(event.id, attempt) : 401,
  };
}

function isFullscriptSigned(request: IncomingMessage, body: Buffer, secret: string): boolean {
  const header = String(request.headers['fullscript-signature'] ?? '');
  const [, timestamp, signature] = /^t=(\d{10}),v1=([0-9a-f]{64})$/.exec(header) ?? [];
  if (timestamp === undefined || signature === undefined) return false;
  const expected = createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest();
  return isFresh(timestamp) && timingSafeEqual(expected, Buffer.from(signature, 'hex'));
}

function isStandardSigned(request: IncomingMessage, body: Buffer, secret: string): boolean {
  const id = String(request.headers['webhook-id'] ?? '');
  const timestamp = String(request.headers['webhook-timestamp'] ?? '');
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
  const signatures = String(request.headers['webhook-signature'] ?? '').split(' ');
  return (
    isFresh(timestamp) &&
    signatures.some((signature) => {
      const given = Buffer.from(signature.replace(/^v1,/, ''), 'base64');
      return given.length === expected.length && timingSafeEqual(given, expected);
    })
  );
}

function isFresh(timestamp: string): boolean {
  return Math.abs(Date.now() / 1000 - Number(timestamp)) <= toleranceSeconds;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
