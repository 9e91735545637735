import { normalHostName } from '../domain/host-name.ts';
import { parseIpAddress } from '../domain/ip-address.ts';

/** Where a URL leads, as far as dialling goes. */
export interface Target {
  /** Lower-case DNS name without a dot at its end, or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

export type ReadUrl =
  | { readonly kind: 'ok'; readonly url: string; readonly target: Target; readonly path: string }
  | { readonly kind: 'problem'; readonly problem: string };

const longestUrl = 2048;

/**
 * Reads a subscriber's URL strictly: what a browser would repair (spaces, backslashes,
 * missing slashes, escapes in the host) is refused, since two programs that repair
 * differently disagree about the host.
 */
export function readUrl(text: string): ReadUrl {
  if (text.length > longestUrl) return problem(`the URL is longer than ${longestUrl} characters`);
  if (/[\s\\\p{Cc}\p{Cf}]/u.test(text))
    return problem('the URL holds a space, a control character or a backslash');
  const authority = /^https?:\/\/([^/?#]+)/i.exec(text)?.[1];
  if (authority === undefined) return problem('the URL does not start with https:// and a host');
  if (authority.includes('@')) return problem('the URL holds a user name or password');
  if (authority.includes('%')) return problem('the URL holds an escape in its host');
  if (text.includes('#')) return problem('the URL holds a fragment, which is never sent');
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return problem('the URL cannot be read');
  }
  const bare = url.hostname.replace(/^\[|\]$/g, '');
  const host = parseIpAddress(bare) === null ? normalHostName(bare) : bare;
  if (host === null) return problem('the host is no valid DNS name or IP address');
  const isTls = url.protocol === 'https:';
  const port = url.port === '' ? (isTls ? 443 : 80) : Number(url.port);
  if (port === 0) return problem('port 0 cannot be reached');
  url.hostname = host.includes(':') ? `[${host}]` : host;
  return { kind: 'ok', url: url.href, target: { host, port, isTls }, path: `${url.pathname}${url.search}` };
}

function problem(text: string): ReadUrl {
  return { kind: 'problem', problem: text };
}

/** `host:port` as a URL and an allow entry write it. */
export function hostAndPort({ host, port }: Pick<Target, 'host' | 'port'>): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
