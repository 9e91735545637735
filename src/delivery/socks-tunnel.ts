import { connect, type Socket } from 'node:net';
import type { SocksProxy } from '../domain/egress-proxy.ts';
import { parseIpAddress } from '../domain/ip-address.ts';
import { ProxyFault, type TunnelEnd } from './proxy-fault.ts';

const version = 5;
const noUser = 0;
const userAndPassword = 2;
const connectCommand = 1;
/** How long an address of each type is; a name (3) says so itself. */
const addressLength: Readonly<Record<number, number>> = { 1: 4, 4: 16 };

/**
 * A connection to an address, made by a SOCKS5 proxy.
 *
 * Source: RFC 1928; RFC 1929 for user and password.
 *
 * @param signal ends the attempt, and the connection to the proxy with it.
 * @throws ProxyFault
 */
export async function openSocksTunnel(
  { host, port, user }: SocksProxy,
  to: TunnelEnd,
  signal: AbortSignal,
): Promise<Socket> {
  const socket = connect({ host, port, signal });
  try {
    const take = reading(socket);
    socket.write(Buffer.from(user === null ? [version, 1, noUser] : [version, 2, noUser, userAndPassword]));
    const [spoken, method] = await take(2);
    if (spoken !== version) throw new ProxyFault('SOCKS_OTHER_VERSION');
    if (method === userAndPassword && user !== null) {
      socket.write(Buffer.concat([Buffer.from([1]), counted(user.name), counted(user.password)]));
      if ((await take(2))[1] !== 0) throw new ProxyFault('SOCKS_USER_REFUSED');
    } else if (method !== noUser) throw new ProxyFault('SOCKS_USER_REFUSED');
    socket.write(Buffer.concat([Buffer.from([version, connectCommand, 0]), endBytes(to)]));
    const [, reply, , type = 0] = await take(4);
    if (reply !== 0) throw new ProxyFault(`SOCKS_${reply}`);
    const length = type === 3 ? ((await take(1))[0] ?? 0) : addressLength[type];
    if (length === undefined) throw new ProxyFault('SOCKS_UNREADABLE');
    await take(length + 2);
    await take.end();
    return socket;
  } catch (error) {
    socket.destroy();
    if (error instanceof ProxyFault) throw error;
    throw new ProxyFault((error as NodeJS.ErrnoException).code ?? 'UNKNOWN');
  }
}

interface Take {
  (count: number): Promise<Buffer>;
  /** Leaves the socket to who reads next. Bytes that nobody asked for could be taken for the answer to what is sent next. */
  end(): Promise<void>;
}

/** Gives the bytes that came, so many at a time. */
function reading(socket: Socket): Take {
  const chunks: AsyncIterator<Buffer> = socket.iterator({ destroyOnReturn: false });
  let held = Buffer.alloc(0);
  const take = async (count: number) => {
    while (held.length < count) {
      const next = await chunks.next();
      if (next.done) throw new ProxyFault('CLOSED');
      held = Buffer.concat([held, next.value]);
    }
    const taken = held.subarray(0, count);
    held = held.subarray(count);
    return taken;
  };
  const end = async () => {
    await chunks.return?.();
    if (held.length > 0) throw new ProxyFault('SPOKE_FIRST');
  };
  return Object.assign(take, { end });
}

function counted(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

function endBytes({ address, port }: TunnelEnd): Buffer {
  const parsed = parseIpAddress(address);
  if (parsed === null) throw new ProxyFault('SOCKS_NO_ADDRESS');
  const type = parsed.family === 4 ? 1 : 4;
  const hex = parsed.bits.toString(16).padStart((addressLength[type] ?? 0) * 2, '0');
  return Buffer.concat([Buffer.from([type]), Buffer.from(hex, 'hex'), Buffer.from([port >> 8, port & 0xff])]);
}
