import { classOfAddress } from '../domain/address-class.ts';
import { type AllowEntry, allowsAddress, allowsName } from '../domain/allow-entry.ts';
import { isMetadataName, isPrivateName } from '../domain/host-name.ts';
import { type IpAddress, parseIpAddress } from '../domain/ip-address.ts';
import { isOwnAddress, isOwnName, type Listening, type Machine, thisMachine } from './own-address.ts';
import { createResolve, type Resolve } from './resolve.ts';
import { hostAndPort, readUrl, type Target } from './url-text.ts';

/** Why an address is not dialled. */
export interface Refusal {
  readonly kind: 'refused';
  /** As a clause, for people. It never holds what a name resolved to, which strangers could not learn otherwise. */
  readonly reason: string;
  /** The config line that would allow it; `null` where none can. */
  readonly allowWith: string | null;
}

export interface VettedUrl {
  readonly kind: 'ok';
  /** The URL as it is to be stored: lower-case, the host in its DNS form. */
  readonly url: string;
  readonly target: Target;
  readonly path: string;
}

/**
 * Decides where the relay may send. Strangers choose the URLs, so each is vetted four
 * times: as text (at registration too), by name and port, by every address that its
 * name resolves to, and by the address that the socket is connected to.
 */
export interface AddressGuard {
  vetUrl(text: string): VettedUrl | Refusal;
  /** The name, port and scheme; and the address, if the host is one. */
  vetTarget(target: Target): Refusal | null;
  /** One address that the target resolved to or is connected to. */
  vetAddress(target: Target, address: string): Refusal | null;
  /**
   * The target's addresses, at most eight, each of them vetted: one that may not be
   * dialled refuses the whole answer. Rejects with the resolver's error.
   */
  addressesOf(target: Target): Promise<readonly string[] | Refusal>;
}

export interface GuardOptions {
  readonly allow: readonly AllowEntry[];
  /** For development: loopback, private networks, and ports from 1024 up. */
  readonly allowPrivateAddresses: boolean;
  /** For development: plain http. */
  readonly allowHttp: boolean;
  /** Where the relay itself listens, which no subscriber may be: as configured, and as found once it listens. */
  readonly listening?: () => readonly Listening[];
  /** Default: this one. */
  readonly machine?: Machine;
  /** The ports on which any public host may be reached. Default: 443 and 8443, with `allowHttp` 80 and 8080 too. */
  readonly publicPorts?: readonly number[];
  readonly resolve?: Resolve;
}

const tlsPorts = [443, 8443];
const httpPorts = [80, 8080];
const dialledMax = 8;

export function createAddressGuard(options: GuardOptions): AddressGuard {
  const { allow, allowPrivateAddresses, allowHttp, listening = () => [], machine = thisMachine } = options;
  const publicPorts = options.publicPorts ?? (allowHttp ? [...tlsPorts, ...httpPorts] : tlsPorts);
  const isNamed = ({ host, port }: Pick<Target, 'host' | 'port'>) =>
    allow.some((entry) => allowsName(entry, host, port));
  const isInAllowedRange = (address: IpAddress, port: number) =>
    allow.some((entry) => allowsAddress(entry, address, port));
  const mayBeInAllowedRange = (port: number) =>
    allow.some((entry) => entry.kind === 'range' && (entry.port === null || entry.port === port));
  const resolve =
    options.resolve ??
    createResolve(
      (host) =>
        allowPrivateAddresses ||
        isPrivateName(host) ||
        allow.some((entry) => allowsName(entry, host, entry.port ?? 0)),
    );

  /** What forbids a target that no entry of `allow` vouches for. */
  function publicRule({ host, port, isTls }: Target): string | null {
    if (!isTls && !allowHttp) return 'plain http is not allowed';
    const isUsual = publicPorts.includes(port) || (allowPrivateAddresses && (port >= 1024 || port === 80));
    if (!isUsual) return `port ${port} is not allowed`;
    if (isPrivateName(host) && !allowPrivateAddresses && parseIpAddress(host) === null) {
      return `${host} is a private name`;
    }
    return null;
  }

  function isOwn(address: IpAddress, port: number): boolean {
    return listening().some((own) => isOwnAddress(own, address, port, machine));
  }

  function vetAddress(target: Target, text: string): Refusal | null {
    const address = parseIpAddress(text);
    const isLiteral = target.host === text;
    const tell = (what: string) => (isLiteral ? `${text} is ${what}` : `${target.host} resolves to ${what}`);
    if (address === null) return refuse(tell('something that is no IP address'), null);
    const { kind, what } = classOfAddress(address);
    if (isOwn(address, target.port)) return refuse('it is where the relay itself listens', null);
    if (kind === 'never') return refuse(`${tell(what)}, which is never allowed`, null);
    if (isNamed(target) || isInAllowedRange(address, target.port)) return null;
    const rule = publicRule(target);
    if (rule !== null) return refuse(rule, target);
    if (kind === 'public' || (kind === 'private' && allowPrivateAddresses)) return null;
    return refuse(tell(what), target);
  }

  function vetTarget(target: Target): Refusal | null {
    const { host } = target;
    if (parseIpAddress(host) !== null) return vetAddress(target, host);
    if (isMetadataName(host)) return refuse(`${host} is a metadata service, which is never allowed`, null);
    if (listening().some((own) => isOwnName(own, target, machine))) {
      return refuse('it is where the relay itself listens', null);
    }
    if (isNamed(target)) return null;
    const rule = publicRule(target);
    // An allowed range may hold it: that is known once the name is resolved.
    return rule === null || mayBeInAllowedRange(target.port) ? null : refuse(rule, target);
  }

  return {
    vetTarget,
    vetAddress,

    vetUrl(text) {
      const read = readUrl(text);
      if (read.kind === 'problem') return refuse(read.problem, null);
      return vetTarget(read.target) ?? read;
    },

    async addressesOf(target) {
      const addresses = await resolve(target.host);
      for (const address of addresses) {
        const refusal = vetAddress(target, address);
        if (refusal !== null) return refusal;
      }
      return addresses.slice(0, dialledMax);
    },
  };
}

function refuse(reason: string, allowable: Target | null): Refusal {
  const allowWith = allowable && `"delivery": { "allow": ["${hostAndPort(allowable)}"] }`;
  return { kind: 'refused', reason, allowWith };
}
