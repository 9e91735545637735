import http from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Duplex } from 'node:stream';
import { rootCertificates, TLSSocket } from 'node:tls';
import type { Phase } from '../domain/attempt.ts';
import type { AddressGuard, Refusal } from './address-guard.ts';
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

/** How far a connection has come that is not ready to send on; absent once it is. */
const phases = new WeakMap<Duplex, Phase>();

/** `dns`, `connect` or `tls`; `null` when the connection stands. */
export function phaseOfConnection(socket: Duplex): Phase | null {
  return phases.get(socket) ?? null;
}

const idleMsMax = 30_000;
const idlePerHostMax = 64;
const nextAddressAfterMs = 500;

/**
 * @param keepAlive `false`: every request gets a connection of its own.
 * @param extraAuthorities PEM certificates to trust beside the well-known ones.
 */
export function createGuardedAgents(
  guard: AddressGuard,
  { keepAlive, extraAuthorities = [] }: { keepAlive: boolean; extraAuthorities?: readonly string[] },
): GuardedAgents {
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
    http: guarded(new http.Agent(options), guard, false),
    https: guarded(new https.Agent({ ...options, ...tlsOptions }), guard, true),
  };
}

function guarded<A extends http.Agent>(agent: A, guard: AddressGuard, isTls: boolean): A {
  const connect: http.Agent['createConnection'] = agent.createConnection.bind(agent);
  const keep = agent.keepSocketAlive.bind(agent);
  const reuse = agent.reuseSocket.bind(agent);

  agent.createConnection = (options, callback) => {
    const target: Target = { host: options.host ?? '', port: Number(options.port), isTls };
    const refusal = guard.vetTarget(target);
    if (refusal !== null) {
      // Node's types want a socket beside the error; its code does not.
      callback?.(new AddressRefused(refusal), undefined as unknown as Duplex);
      return undefined;
    }
    const socket = connect({ ...options, lookup: vettedLookup(guard, target) }, callback);
    if (socket) watch(socket, guard, target);
    return socket;
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

/** Tells the phase, and vets the address on the other end before a byte is written. */
function watch(socket: Duplex, guard: AddressGuard, target: Target): void {
  phases.set(socket, isIP(target.host) === 0 ? 'dns' : 'connect');
  socket.once('lookup', (error: Error | null) => {
    if (error === null) phases.set(socket, 'connect');
  });
  socket.prependOnceListener('connect', () => {
    const address = 'remoteAddress' in socket ? String(socket.remoteAddress) : '';
    const refusal = guard.vetAddress(target, address);
    if (refusal !== null) {
      socket.destroy(new AddressRefused(refusal));
    } else if (socket instanceof TLSSocket) {
      phases.set(socket, 'tls');
    } else {
      phases.delete(socket);
    }
  });
  socket.once('secureConnect', () => phases.delete(socket));
}

function vettedLookup(guard: AddressGuard, target: Target): LookupFunction {
  return (_host, options, callback) => {
    const fail = (error: Error) => process.nextTick(callback, error, []);
    guard.addressesOf(target).then((found) => {
      if ('kind' in found) return fail(new AddressRefused(found));
      const addresses = found.map((address) => ({ address, family: isIP(address) }));
      const [first] = addresses;
      if (first === undefined) return fail(Object.assign(new Error('no address'), { code: 'ENODATA' }));
      if (options.all) process.nextTick(callback, null, addresses);
      else process.nextTick(callback, null, first.address, first.family);
    }, fail);
  };
}
