import { neverClassOf } from './address-class.ts';
import { isMetadataName, isPrivateName, normalHostName } from './host-name.ts';
import { type IpAddress, type IpRange, isInRange, parseIpRange } from './ip-address.ts';

/**
 * One line of `delivery.allow`: where the relay may send although it is private, plain
 * http, or on an unusual port. `port` `null` is every port.
 *
 * A name vouches for whatever addresses it resolves to; a range for its addresses,
 * under any name.
 */
export type AllowEntry =
  | { readonly kind: 'name'; readonly name: string; readonly port: number | null }
  /** Every name that ends in `suffix`, which begins with its dot: `.clinic.internal`. */
  | { readonly kind: 'suffix'; readonly suffix: string; readonly port: number | null }
  | { readonly kind: 'range'; readonly range: IpRange; readonly port: number | null };

export interface AllowEntryProblem {
  readonly kind: 'problem';
  /** What is wrong with the entry, as a sentence. */
  readonly message: string;
}

/** A wider range would allow most of the internet, or every private network at once. */
const shortestPrefix = { 4: 8, 6: 7 } as const;

/**
 * Reads `host`, `*.suffix`, an IP address or a CIDR range, each with an optional `:port`
 * (an IPv6 one then in brackets: `[fd00::/64]:3000`).
 */
export function parseAllowEntry(text: string): AllowEntry | AllowEntryProblem {
  const split = splitPort(text);
  if (split === null) return problem(`"${text}" has a port that is not between 1 and 65535.`);
  const { host, port } = split;
  const range = parseIpRange(host);
  if (range !== null) {
    const never = neverClassOf(range);
    if (never !== null) return problem(`"${text}" is ${never.what}, which is never allowed.`);
    const shortest = shortestPrefix[range.first.family];
    if (range.prefix < shortest) {
      return problem(`"${text}" is too wide; the widest IPv${range.first.family} range is /${shortest}.`);
    }
    return { kind: 'range', range, port };
  }
  const name = normalHostName(host.startsWith('*.') ? host.slice(2) : host);
  if (name === null) {
    return problem(`"${text}" is neither a host, an IP address nor a range, with or without a port.`);
  }
  if (isMetadataName(name)) {
    return problem(`"${text}" is a cloud's metadata service, which is never allowed.`);
  }
  if (!host.startsWith('*.')) return { kind: 'name', name, port };
  if (!name.includes('.') && !isPrivateName(`x.${name}`)) {
    return problem(
      `"${text}" would let strangers' names point into your network; name a domain of your own.`,
    );
  }
  return { kind: 'suffix', suffix: `.${name}`, port };
}

function splitPort(text: string): { host: string; port: number | null } | null {
  const parts = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([^:]*))?$/.exec(text);
  // More than one colon and no brackets: an IPv6 address, which has no port then.
  if (parts === null) return { host: text, port: null };
  const host = parts[1] ?? parts[2] ?? '';
  const portText = parts[3];
  if (portText === undefined) return { host, port: null };
  const port = /^[1-9][0-9]{0,4}$/.test(portText) ? Number(portText) : 0;
  return port >= 1 && port <= 65_535 ? { host, port } : null;
}

function problem(message: string): AllowEntryProblem {
  return { kind: 'problem', message };
}

/** @param host as `normalHostName` gives it. */
export function allowsName(entry: AllowEntry, host: string, port: number): boolean {
  if (entry.port !== null && entry.port !== port) return false;
  switch (entry.kind) {
    case 'name':
      return host === entry.name;
    case 'suffix':
      return host.endsWith(entry.suffix);
    case 'range':
      return false;
  }
}

export function allowsAddress(entry: AllowEntry, address: IpAddress, port: number): boolean {
  return (
    entry.kind === 'range' && (entry.port === null || entry.port === port) && isInRange(address, entry.range)
  );
}
