import { promises as dns } from 'node:dns';

/** The addresses of a host name, in the order in which to try them. Rejects with the resolver's error, which has a `code`. */
export type Resolve = (host: string) => Promise<readonly string[]>;

/**
 * Asks the name servers themselves, except for names that only this machine may know
 * (its hosts file, a container's or VPN's search rules), which go through the system.
 *
 * The system's look-up runs in a small thread pool: eight dead names hold up every other
 * for 40 seconds. So strangers' names never go there.
 *
 * @param isLocal names that the operator vouches for.
 * @param servers `address:port` of name servers; none means the system's.
 */
export function createResolve(isLocal: (host: string) => boolean, servers: readonly string[] = []): Resolve {
  const resolver = new dns.Resolver({ timeout: 2000, tries: 2 });
  if (servers.length > 0) resolver.setServers(servers);
  return async (host) => {
    if (isLocal(host)) return (await dns.lookup(host, { all: true })).map(({ address }) => address);
    const [ipv6, ipv4] = await Promise.allSettled([resolver.resolve6(host), resolver.resolve4(host)]);
    if (ipv4.status === 'rejected' && ipv6.status === 'rejected') throw ipv4.reason;
    return [
      ...(ipv6.status === 'fulfilled' ? ipv6.value : []),
      ...(ipv4.status === 'fulfilled' ? ipv4.value : []),
    ];
  };
}
