import { once } from 'node:events';
import { connect, isIP } from 'node:net';
import type { AddressGuard } from '../delivery/address-guard.ts';
import { hostAndPort } from '../delivery/url-text.ts';
import type { EgressProxy } from '../domain/egress-proxy.ts';
import { type Finding, failure, ok, warning } from './finding.ts';

const reachMs = 5_000;

/** Whether the vendor's API host answers at all; no token is sent, so any answer will do. */
export async function checkVendor(apiUrl: string): Promise<Finding> {
  const check = 'Fullscript';
  const { host, hostname } = new URL(apiUrl);
  try {
    const answer = await fetch(apiUrl, { redirect: 'manual', signal: AbortSignal.timeout(reachMs) });
    await answer.body?.cancel();
    return ok(check, `${host} answers`);
  } catch (thrown) {
    const isLocal = hostname === '127.0.0.1' || hostname === 'localhost' || hostname === '[::1]';
    return failure(
      check,
      `${host} does not answer (${reasonOf(thrown)}).`,
      isLocal
        ? 'Start the offline one with `relay sandbox`.'
        : 'Look at this machine’s DNS, firewall and proxy; source.apiUrl names the address.',
    );
  }
}

/** Whether the egress proxy can be connected to; it is asked for nothing. */
export async function checkProxy(proxy: EgressProxy): Promise<Finding> {
  const check = 'egress proxy';
  const name = hostAndPort(proxy);
  const socket = connect({ host: proxy.host, port: proxy.port });
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(reachMs) });
    return ok(
      check,
      `${name} can be reached; it is given addresses that were resolved and vetted here. Private ones, and token URLs, are dialled directly`,
    );
  } catch (thrown) {
    return failure(
      check,
      `${name} cannot be reached (${reasonOf(thrown)}).`,
      'Look at the proxy and at `delivery.proxy`; until then nothing is delivered to public addresses.',
    );
  } finally {
    socket.destroy();
  }
}

/** Whether the address guard would let the relay dial a URL. Nothing is sent there. */
export async function checkAddress(check: string, url: string, guard: AddressGuard): Promise<Finding> {
  const vetted = guard.vetUrl(url);
  if (vetted.kind === 'refused') return refused(check, vetted);
  // An address is judged by the text of the URL; a name also by what it resolves to.
  if (isIP(vetted.target.host) !== 0) return ok(check, `${vetted.target.host} may be dialled`);
  try {
    const addresses = await guard.addressesOf(vetted.target);
    if ('kind' in addresses) return refused(check, addresses);
    return ok(check, `${vetted.target.host} may be dialled`);
  } catch (thrown) {
    return warning(
      check,
      `${vetted.target.host} cannot be resolved (${reasonOf(thrown)}).`,
      'Look at the name and at this machine’s DNS; what is meant for it waits until it resolves.',
    );
  }
}

function refused(
  check: string,
  { reason, allowWith }: { readonly reason: string; readonly allowWith: string | null },
): Finding {
  return failure(
    check,
    `it is not dialled: ${reason}.`,
    allowWith === null ? 'Change its URL: no setting allows that address.' : `Allow it with ${allowWith}`,
  );
}

function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return 'no answer';
  const cause = thrown.cause instanceof Error ? thrown.cause : thrown;
  if (cause.name === 'TimeoutError') return `no answer within ${reachMs / 1000} s`;
  const { code } = cause as NodeJS.ErrnoException;
  return code ?? cause.message;
}
