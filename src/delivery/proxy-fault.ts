/** The proxy did not make the connection. `code` is `PROXY_` and what it answered, or Node's own word. */
export class ProxyFault extends Error {
  readonly code: string;

  constructor(what: string | number) {
    super('the egress proxy made no connection');
    this.name = 'ProxyFault';
    this.code = `PROXY_${what}`;
  }
}

/** What the proxy is to connect to: the address that was vetted, and never a name. */
export interface TunnelEnd {
  readonly address: string;
  readonly port: number;
}
