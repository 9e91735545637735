import { onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import {
  type AddressGuard,
  createAddressGuard,
  type GuardOptions,
} from '../../src/delivery/address-guard.ts';
import type { PostRequest, PostResult } from '../../src/delivery/post.ts';
import { createWebhookSender, type WebhookSender } from '../../src/delivery/webhook-sender.ts';
import { parseEgressProxy } from '../../src/domain/egress-proxy.ts';
import { type Peer, type PeerOptions, peer } from './peer.ts';
import { tlsFiles } from './tls-files.ts';

/** A guard for tests of what lies behind it: loopback and plain http are allowed. */
export function openGuard(resolve = async (_host: string): Promise<readonly string[]> => ['127.0.0.1']) {
  return createAddressGuard({ allow: [], allowPrivateAddresses: true, allowHttp: true, resolve });
}

/** A sender that is closed when the test is over. */
export function sender(
  guard: AddressGuard = openGuard(),
  extraAuthorities: readonly string[] = [],
): WebhookSender {
  const created = createWebhookSender({ guard, clock: systemClock(), extraAuthorities });
  onTestFinished(() => created.close());
  return created;
}

/** What every name leads to for `senderBy`. */
export const publicAddress = '93.184.216.34';

/** A sender that reaches public addresses through a proxy; closed when the test is over. */
export function senderBy(
  proxy: string,
  {
    clock = systemClock(),
    ...options
  }: Partial<GuardOptions> & { clock?: ReturnType<typeof systemClock> } = {},
) {
  const parsed = parseEgressProxy(proxy);
  if (parsed.kind === 'problem') throw new Error(parsed.message);
  const guard = createAddressGuard({
    allow: [],
    allowPrivateAddresses: false,
    allowHttp: true,
    resolve: async () => [publicAddress],
    ...options,
  });
  const created = createWebhookSender({
    guard,
    clock,
    proxy: parsed,
    extraAuthorities: [tlsFiles.localhost],
  });
  onTestFinished(() => created.close());
  return created;
}

/** A peer that is closed when the test is over. */
export async function hostile(options: PeerOptions): Promise<Peer> {
  const started = await peer(options);
  onTestFinished(() => started.close());
  return started;
}

export function request(to: Peer | string, asked: Partial<PostRequest> = {}): PostRequest {
  return {
    url: typeof to === 'string' ? to : `http://127.0.0.1:${to.port}/hook`,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from('{"event":{}}'),
    timeoutMs: 2000,
    needsAnswerBody: false,
    ...asked,
  };
}

/** What an outside observer would write down about a result. */
export function told(result: PostResult): string {
  switch (result.kind) {
    case 'answered':
      return `${result.status}${result.isTruncated ? ' truncated' : ''}`;
    case 'timedOut':
      return `timedOut ${result.phase}`;
    case 'unreachable':
      return `${result.error} ${result.code}`;
    case 'blocked':
      return `blocked: ${result.reason}`;
    case 'interrupted':
      return 'interrupted';
  }
}
