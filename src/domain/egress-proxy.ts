/** What public addresses are reached through. */
export type EgressProxy = HttpProxy | SocksProxy;

interface ProxyPlace {
  /** A DNS name, or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Asked by CONNECT. */
export interface HttpProxy extends ProxyPlace {
  readonly kind: 'http';
  /** The value of `proxy-authorization`; `null` when the URL holds no user. It is a secret. */
  readonly authorization: string | null;
}

/** SOCKS version 5. */
export interface SocksProxy extends ProxyPlace {
  readonly kind: 'socks5';
  /** `null` when the URL holds none. The password is a secret. */
  readonly user: ProxyUser | null;
}

interface ProxyUser {
  readonly name: string;
  readonly password: string;
}

export interface EgressProxyProblem {
  readonly kind: 'problem';
  /** What is wrong with the URL, as a clause that does not repeat it: it may hold a password. */
  readonly message: string;
}

const socksTextBytesMax = 255;

/**
 * Reads `http://[user:password@]host:port` or `socks5://…`; what is escaped in user and
 * password is unescaped.
 */
export function parseEgressProxy(text: string): EgressProxy | EgressProxyProblem {
  if (!URL.canParse(text)) return problem('must be a URL such as http://proxy.internal:3128');
  const url = new URL(text);
  if (url.protocol === 'socks5h:') {
    return problem('must begin with socks5://: names are resolved and vetted here, not by the proxy');
  }
  if (url.protocol !== 'http:' && url.protocol !== 'socks5:') {
    return problem('must begin with http:// or socks5://');
  }
  if (!['', '/'].includes(url.pathname) || url.search !== '' || url.hash !== '') {
    return problem('must be a host and a port, without a path');
  }
  const kind = url.protocol === 'http:' ? 'http' : 'socks5';
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  const port = url.port === '' ? defaultPort[kind] : Number(url.port);
  if (host === '') return problem('must be a host and a port');
  if (port === 0) return problem('must have a port from 1 to 65535');
  let user: ProxyUser | null;
  try {
    user = userOf(url);
  } catch {
    return problem('has an escape in its user or password that cannot be read');
  }
  if (kind === 'http') return { kind, host, port, authorization: user && basic(user) };
  if (user && [user.name, user.password].some((part) => !isSocksText(part))) {
    return problem('must have a user and a password of 1 to 255 bytes each, or neither');
  }
  return { kind, host, port, user };
}

const defaultPort = { http: 80, socks5: 1080 } as const;

function userOf({ username, password }: URL): ProxyUser | null {
  if (username === '' && password === '') return null;
  return { name: decodeURIComponent(username), password: decodeURIComponent(password) };
}

function basic({ name, password }: ProxyUser): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
}

function isSocksText(text: string): boolean {
  return text !== '' && Buffer.byteLength(text) <= socksTextBytesMax;
}

function problem(message: string): EgressProxyProblem {
  return { kind: 'problem', message };
}
