import { once } from 'node:events';
import { createServer, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Response } from 'express';
import { expect, onTestFinished, test } from 'vitest';
import { endOf } from '../../src/api/event-stream.ts';

/** An answer that is not begun yet, and the caller who waits for it. */
async function asked(): Promise<{ response: Response; leave(): void }> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close().closeAllConnections());
  const { port } = server.address() as AddressInfo;
  const caller = request({ host: '127.0.0.1', port });
  caller.on('error', () => {});
  caller.end();
  const [, response] = (await once(server, 'request')) as [unknown, ServerResponse];
  return { response: response as Response, leave: () => caller.destroy() };
}

test('an answer ends with its connection, and when the relay stops', async () => {
  const { response, leave } = await asked();
  const [alone, stopping] = [new AbortController(), new AbortController()];
  const [gone, stopped] = [endOf(response, alone.signal), endOf(response, stopping.signal)];
  stopping.abort();
  expect([gone.aborted, stopped.aborted]).toEqual([false, true]);
  leave();
  await once(response, 'close');
  expect(gone.aborted).toBe(true);
});

test('an answer whose caller left before anybody looked has ended', async () => {
  const { response, leave } = await asked();
  leave();
  await once(response, 'close');
  expect(endOf(response, new AbortController().signal).aborted).toBe(true);
});
