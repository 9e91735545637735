import http from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Duplex } from 'node:stream';
import { rootCertificates } from 'node:tls';
import type { Clock } from '../clock.ts';
import { classOfAddress } from '../domain/address-class.ts';
import type { EgressProxy } from '../domain/egress-proxy.ts';
import { parseIpAddress } from '../domain/ip-address.ts';
import type { AddressGuard, Refusal } from './address-guard.ts';
import { followPhases, withinPhase } from './connection-phases.ts';
import { openHttpTunnel } from './http-tunnel.ts';
import { openSocksTunnel } from './socks-tunnel.ts';
import type { Target } from './url-text.ts';

/** What a connection's error is when the guard ended it. */
export class AddressRefused extends Error {
  readonly code = 'ADDRESS_REFUSED';
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.reason);
    this.name = 'AddressRefused';
    this.refusal = refusal;
  }
}

/** The agents that every POST to a subscriber goes through: there is no other way to a socket. */
export interface GuardedAgents {
  readonly http: http.Agent;
  readonly https: https.Agent;
}

const idleMsMax = 30_000;
const idlePerHostMax = 64;
const nextAddressAfterMs = 500;

export interface GuardedAgentsOptions {
  readonly guard: AddressGuard;
  readonly clock: Clock;
  /** `false`: every request gets a connection of its own. */
  readonly keepAlive: boolean;
  /** PEM certificates to trust beside the well-known ones. */
  readonly extraAuthorities?: readonly string[];
  /** What public addresses are reached through; private ones lie on this side of it and are dialled directly. */
  readonly proxy?: EgressProxy | null;
}

export function createGuardedAgents(given: GuardedAgentsOptions): GuardedAgents {
  const { keepAlive, extraAuthorities = [] } = given;
  const options = {
    keepAlive,
    timeout: idleMsMax,
    maxFreeSockets: idlePerHostMax,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: nextAddressAfterMs,
  };
  const tlsOptions = {
    // Said outright, since an environment variable can turn the default off.
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2' as const,
    ...(extraAuthorities.length > 0 ? { ca: [...rootCertificates, ...extraAuthorities] } : {}),
  };
  return {
    http: guarded(new http.Agent(options), given, false),
    https: guarded(new https.Agent({ ...options, ...tlsOptions }), given, true),
  };
}

type Dial = http.Agent['createConnection'];

function guarded<A extends http.Agent>(agent: A, given: GuardedAgentsOptions, isTls: boolean): A {
  const { guard, clock, proxy = null } = given;
  const connect: Dial = agent.createConnection.bind(agent);
  const keep = agent.keepSocketAlive.bind(agent);
  const reuse = agent.reuseSocket.bind(agent);

  const dial = (
    options: http.ClientRequestArgs,
    target: Target,
    addressesOf: AddressGuard['addressesOf'],
  ): Duplex => {
    const socket = connect({ ...options, lookup: vettedLookup(target, addressesOf) });
    if (!socket) throw new Error('the agent made no socket');
    followPhases(socket, isIP(target.host) === 0 ? 'dns' : 'connect', clock);
    vetPeer(socket, guard, target);
    return socket;
  };

  const dialBeyond = async (
    options: http.ClientRequestArgs,
    target: Target,
    by: EgressProxy,
  ): Promise<Duplex> => {
    const isLiteral = isIP(target.host) !== 0;
    const found = isLiteral ? [target.host] : await withinPhase('dns', clock, guard.addressesOf(target));
    if ('kind' in found) throw new AddressRefused(found);
    const outside = found.filter(isOutside);
    if (outside.length === 0) return dial(options, target, async () => found);
    const tunnel = await tunnelTo(by, outside.sort(ipv4First), target.port, clock);
    if (!isTls) return tunnel;
    const socket = connect({ ...options, socket: tunnel } as http.ClientRequestArgs);
    if (!socket) throw new Error('the agent made no socket');
    followPhases(socket, 'tls', clock);
    return socket;
  };

  agent.createConnection = (options, callback) => {
    const target: Target = { host: options.host ?? '', port: Number(options.port), isTls };
    // Node's types want a socket beside the error; its code does not.
    const fail = (error: Error) => callback?.(error, undefined as unknown as Duplex);
    const refusal = guard.vetTarget(target);
    if (refusal !== null) {
      fail(new AddressRefused(refusal));
      return undefined;
    }
    if (proxy === null) return dial(options, target, guard.addressesOf);
    dialBeyond(options, target, proxy).then((socket) => callback?.(null, socket), fail);
    return undefined;
  };

  // Node drops what an idle connection receives; a server that speaks unasked may as well
  // do so in the moment of reuse, and would then answer a request that it has not seen.
  agent.keepSocketAlive = (socket) => {
    socket.on('data', closeIdle);
    return keep(socket);
  };
  agent.reuseSocket = (socket, request) => {
    socket.off('data', closeIdle);
    reuse(socket, request);
  };
  return agent;
}

function closeIdle(this: Duplex): void {
  this.destroy();
}

/** Vets the address on the other end before a byte is written. */
function vetPeer(socket: Duplex, guard: AddressGuard, target: Target): void {
  socket.prependOnceListener('connect', () => {
    const address = 'remoteAddress' in socket ? String(socket.remoteAddress) : '';
    const refusal = guard.vetAddress(target, address);
    if (refusal !== null) socket.destroy(new AddressRefused(refusal));
  });
}

/** One address after the other until the proxy reaches one: it may have IPv4 only, and does not race them. */
async function tunnelTo(
  proxy: EgressProxy,
  addresses: readonly string[],
  port: number,
  clock: Clock,
): Promise<Duplex> {
  const stop = new AbortController();
  const inTurn = async () => {
    let fault: unknown = noAddress();
    for (const address of addresses) {
      try {
        const to = { address, port };
        return await (proxy.kind === 'http'
          ? openHttpTunnel(proxy, to, stop.signal)
          : openSocksTunnel(proxy, to, stop.signal));
      } catch (error) {
        fault = error;
        if (stop.signal.aborted) break;
      }
    }
    throw fault;
  };
  return withinPhase('connect', clock, inTurn(), () => stop.abort());
}

function isOutside(text: string): boolean {
  const address = parseIpAddress(text);
  return address === null || classOfAddress(address).kind !== 'private';
}

function ipv4First(one: string, other: string): number {
  return isIP(one) - isIP(other);
}

function vettedLookup(target: Target, addressesOf: AddressGuard['addressesOf']): LookupFunction {
  return (_host, options, callback) => {
    const fail = (error: Error) => process.nextTick(callback, error, []);
    addressesOf(target).then((found) => {
      if ('kind' in found) return fail(new AddressRefused(found));
      const addresses = found.map((address) => ({ address, family: isIP(address) }));
      const [first] = addresses;
      if (first === undefined) return fail(noAddress());
      if (options.all) process.nextTick(callback, null, addresses);
      else process.nextTick(callback, null, first.address, first.family);
    }, fail);
  };
}

function noAddress(): Error {
  return Object.assign(new Error('no address'), { code: 'ENODATA' });
}
