/** An address as a number, so that a range is a comparison and no spelling can hide it. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly bits: bigint;
}

/** All addresses that share the first `prefix` bits with `first`. */
export interface IpRange {
  readonly first: IpAddress;
  readonly prefix: number;
}

const widthOf = { 4: 32, 6: 128 } as const;
const octetShape = /^(0|[1-9][0-9]{0,2})$/;
const groupShape = /^[0-9a-f]{1,4}$/i;

/**
 * Reads an address in its plain spelling: four decimal octets, or RFC 4291 text. `null`
 * for anything else, short, hexadecimal and octal IPv4 and zone ids included (URL has
 * turned the former into the plain spelling before they get here).
 */
export function parseIpAddress(text: string): IpAddress | null {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): IpAddress | null {
  const octets = text.split('.');
  if (octets.length !== 4) return null;
  let bits = 0;
  for (const octet of octets) {
    if (!octetShape.test(octet) || Number(octet) > 255) return null;
    bits = bits * 256 + Number(octet);
  }
  return { family: 4, bits: BigInt(bits) };
}

function parseIpv6(text: string): IpAddress | null {
  if (text.length > 45) return null;
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = groupsOf(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1] ?? '', true) : [];
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  let bits = 0n;
  for (const group of [...head, ...Array<number>(missing).fill(0), ...tail]) {
    bits = (bits << 16n) | BigInt(group);
  }
  return { family: 6, bits };
}

/** @param mayEndInIpv4 the last 32 bits of an address may be written as four octets. */
function groupsOf(text: string, mayEndInIpv4: boolean): number[] | null {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (groupShape.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const ipv4 = mayEndInIpv4 && index === parts.length - 1 ? parseIpv4(part) : null;
    if (ipv4 === null) return null;
    groups.push(Number(ipv4.bits >> 16n), Number(ipv4.bits & 0xffffn));
  }
  return groups;
}

/** `10.0.3.0/24`, or a lone address as the range of itself; `null` when it is neither. Bits behind the prefix are ignored. */
export function parseIpRange(text: string): IpRange | null {
  const [address = '', prefixText, ...rest] = text.split('/');
  const first = parseIpAddress(address);
  if (first === null || rest.length > 0) return null;
  if (prefixText === undefined) return { first, prefix: widthOf[first.family] };
  if (!octetShape.test(prefixText)) return null;
  const prefix = Number(prefixText);
  return prefix > widthOf[first.family] ? null : { first, prefix };
}

export function isInRange(address: IpAddress, range: IpRange): boolean {
  if (address.family !== range.first.family) return false;
  const dropped = BigInt(widthOf[address.family] - range.prefix);
  return address.bits >> dropped === range.first.bits >> dropped;
}
