/** An HTTP proxy that public addresses are reached through, by CONNECT. */
export interface EgressProxy {
  /** A DNS name, or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
  /** The value of `proxy-authorization`; `null` when the URL holds no user. It is a secret. */
  readonly authorization: string | null;
}

export interface EgressProxyProblem {
  readonly kind: 'problem';
  /** What is wrong with the URL, as a clause that does not repeat it: it may hold a password. */
  readonly message: string;
}

/** Reads `http://[user:password@]host:port`; what is escaped in user and password is unescaped. */
export function parseEgressProxy(text: string): EgressProxy | EgressProxyProblem {
  if (!URL.canParse(text)) return problem('must be a URL such as http://proxy.internal:3128');
  const url = new URL(text);
  if (url.protocol !== 'http:') {
    return problem('must begin with http://: proxies are spoken to by CONNECT, SOCKS is unsupported');
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    return problem('must be a host and a port, without a path');
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? 80 : Number(url.port);
  if (port === 0) return problem('must have a port from 1 to 65535');
  try {
    return { host, port, authorization: authorizationOf(url) };
  } catch {
    return problem('has an escape in its user or password that cannot be read');
  }
}

function authorizationOf({ username, password }: URL): string | null {
  if (username === '' && password === '') return null;
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

function problem(message: string): EgressProxyProblem {
  return { kind: 'problem', message };
}
