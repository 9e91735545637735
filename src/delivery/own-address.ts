import { hostname, networkInterfaces } from 'node:os';
import { classOfAddress } from '../domain/address-class.ts';
import { type IpAddress, parseIpAddress } from '../domain/ip-address.ts';
import type { Target } from './url-text.ts';

/** Where the relay itself listens: a name or an address, `0.0.0.0` and `::` for all of this machine's. */
export interface Listening {
  readonly host: string;
  readonly port: number;
}

/** What this machine is called, and its addresses. */
export interface Machine {
  readonly name: string;
  readonly addresses: () => readonly string[];
}

export const thisMachine: Machine = {
  name: hostname().toLowerCase(),
  addresses: () =>
    Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address)),
};

/** Names that mean this machine everywhere, without the DNS. */
const loopbackName = /(^|\.)localhost$|^localhost\.localdomain$|^ip6-(localhost|loopback)$/;

/** Whether a name leads to where the relay listens, as far as it can be told without looking it up. */
export function isOwnName(
  own: Listening,
  { host, port }: Pick<Target, 'host' | 'port'>,
  machine: Machine,
): boolean {
  if (own.port !== port) return false;
  if (own.host.toLowerCase() === host) return true;
  if (loopbackName.test(host)) {
    return ['127.0.0.1', '::1'].some((text) => isOwnText(own, text, machine));
  }
  return host === machine.name && isAll(own.host);
}

/** Whether an address is one that the relay listens on; to dial the unspecified one is to dial this machine. */
export function isOwnAddress(own: Listening, address: IpAddress, port: number, machine: Machine): boolean {
  if (own.port !== port) return false;
  if (address.bits === 0n) return isOwnText(own, address.family === 4 ? '127.0.0.1' : '::1', machine);
  if (classOfAddress(address).what === 'a loopback address') {
    if (isAll(own.host) || loopbackName.test(own.host.toLowerCase())) return true;
  } else if (isAll(own.host) && machine.addresses().some((text) => isSame(address, text))) {
    return true;
  }
  return isSame(address, own.host);
}

function isOwnText(own: Listening, text: string, machine: Machine): boolean {
  const address = parseIpAddress(text);
  return address !== null && isOwnAddress(own, address, own.port, machine);
}

function isAll(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

function isSame(address: IpAddress, text: string): boolean {
  const other = parseIpAddress(text);
  return other?.family === address.family && other.bits === address.bits;
}
