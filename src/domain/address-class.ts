import { type IpAddress, type IpRange, isInRange, parseIpRange } from './ip-address.ts';

/**
 * What an address is to somebody who sends to addresses that strangers chose.
 *
 * `public`: anybody's server. `private`: loopback and private networks, where an
 * operator's own subscribers live. `reserved`: no server that one would expect.
 * `never`: reaches the machine's own cloud, link or nobody in particular; no
 * configuration allows it.
 */
export interface AddressClass {
  readonly kind: 'public' | 'private' | 'reserved' | 'never';
  /** As a noun, for a sentence: `a loopback address`. */
  readonly what: string;
}

type Row = readonly [range: string, kind: AddressClass['kind'], what: string];

/**
 * The first row that holds the address decides.
 *
 * Source: the IANA special-purpose address registries for IPv4 and IPv6, and the
 * instance metadata addresses that AWS, Azure, Alibaba, Google, Oracle and Scaleway
 * document.
 */
const rows: readonly Row[] = [
  ['0.0.0.0/8', 'never', 'an unspecified address'],
  ['169.254.0.0/16', 'never', 'a link-local or metadata address'],
  ['168.63.129.16', 'never', 'a cloud metadata address'],
  ['100.100.100.200', 'never', 'a cloud metadata address'],
  ['192.0.0.192', 'never', 'a cloud metadata address'],
  ['224.0.0.0/4', 'never', 'a multicast address'],
  ['255.255.255.255', 'never', 'the broadcast address'],
  ['127.0.0.0/8', 'private', 'a loopback address'],
  ['10.0.0.0/8', 'private', 'a private address'],
  ['172.16.0.0/12', 'private', 'a private address'],
  ['192.168.0.0/16', 'private', 'a private address'],
  ['100.64.0.0/10', 'private', 'a shared (carrier or VPN) address'],
  ['192.0.0.0/24', 'reserved', 'a protocol assignment'],
  ['192.0.2.0/24', 'reserved', 'a documentation address'],
  ['198.51.100.0/24', 'reserved', 'a documentation address'],
  ['203.0.113.0/24', 'reserved', 'a documentation address'],
  ['198.18.0.0/15', 'reserved', 'a benchmarking address'],
  ['192.88.99.0/24', 'reserved', 'a 6to4 relay address'],
  ['192.31.196.0/24', 'reserved', 'an AS112 address'],
  ['192.52.193.0/24', 'reserved', 'a multicast relay address'],
  ['192.175.48.0/24', 'reserved', 'an AS112 address'],
  ['240.0.0.0/4', 'reserved', 'a reserved address'],
  ['0.0.0.0/0', 'public', 'a public address'],

  ['::1', 'private', 'a loopback address'],
  // Mapped, compatible, translated and NAT64: IPv4 in disguise, link-local and metadata included.
  ['::/8', 'never', 'an IPv4 address in IPv6 form'],
  ['fe80::/10', 'never', 'a link-local address'],
  ['ff00::/8', 'never', 'a multicast address'],
  ['fd00:ec2::254', 'never', 'a cloud metadata address'],
  ['fd20:ce::254', 'never', 'a cloud metadata address'],
  ['fd00:c1::a9fe:a9fe', 'never', 'a cloud metadata address'],
  ['fd00:42::42', 'never', 'a cloud metadata address'],
  ['fc00::/7', 'private', 'a private address'],
  ['2001::/32', 'never', 'a Teredo address'],
  ['2002::/16', 'never', 'a 6to4 address'],
  ['2001::/23', 'reserved', 'a protocol assignment'],
  ['2001:db8::/32', 'reserved', 'a documentation address'],
  ['3fff::/20', 'reserved', 'a documentation address'],
  ['2620:4f:8000::/48', 'reserved', 'an AS112 address'],
  ['2000::/3', 'public', 'a public address'],
  ['::/0', 'reserved', 'an unassigned address'],
];

const table: readonly { readonly range: IpRange; readonly class: AddressClass }[] = rows.map(
  ([text, kind, what]) => {
    const range = parseIpRange(text);
    if (range === null) throw new Error(`${text} in the address table is not a range`);
    return { range, class: { kind, what } };
  },
);

const unknown: AddressClass = { kind: 'never', what: 'an address of no known kind' };

export function classOfAddress(address: IpAddress): AddressClass {
  return table.find(({ range }) => isInRange(address, range))?.class ?? unknown;
}

/** The class of a range that lies whole inside a `never` row, else `null`. */
export function neverClassOf(range: IpRange): AddressClass | null {
  const row = table.find((each) => isInRange(range.first, each.range));
  return row?.class.kind === 'never' && row.range.prefix <= range.prefix ? row.class : null;
}
