import { createSocket } from 'node:dgram';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createResolve } from '../../src/delivery/resolve.ts';

type RecordType = 'A' | 'AAAA';
const typeNumbers: Readonly<Record<number, RecordType>> = { 1: 'A', 28: 'AAAA' };

/** What the name server knows: raw address bytes; a missing type is an empty answer, a missing name NXDOMAIN. */
type Zone = Readonly<Record<string, Partial<Record<RecordType, readonly (readonly number[])[]>>>>;

/** A name server on loopback; returns where it listens and the names that it was asked for. */
async function nameServer(zone: Zone) {
  const asked: string[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => {
    const labels: string[] = [];
    let at = 12;
    for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length));
      at += 1 + length;
    }
    const name = labels.join('.').toLowerCase();
    const type = typeNumbers[query.readUInt16BE(at + 1)];
    asked.push(name);
    const addresses = (type && zone[name]?.[type]) ?? [];
    const head = Buffer.alloc(12);
    query.copy(head, 0, 0, 2);
    head.writeUInt16BE(zone[name] ? 0x8180 : 0x8183, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(addresses.length, 6);
    const records = addresses.map((bytes) =>
      Buffer.from([0xc0, 12, 0, type === 'A' ? 1 : 28, 0, 1, 0, 0, 0, 60, 0, bytes.length, ...bytes]),
    );
    socket.send(Buffer.concat([head, query.subarray(12, at + 5), ...records]), from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  onTestFinished(() => void socket.close());
  return { servers: [`127.0.0.1:${socket.address().port}`], asked };
}

const loopbackV6 = [...Array<number>(15).fill(0), 1];

describe('a stranger’s name is asked of the name servers', () => {
  const zone: Zone = {
    'both.example': {
      A: [
        [192, 0, 2, 1],
        [192, 0, 2, 2],
      ],
      AAAA: [loopbackV6],
    },
    'four.example': { A: [[192, 0, 2, 1]] },
    'six.example': { AAAA: [loopbackV6] },
    'none.example': {},
    localhost: { A: [[192, 0, 2, 66]] },
  };
  for (const { host, addresses } of [
    { host: 'both.example', addresses: ['::1', '192.0.2.1', '192.0.2.2'] },
    { host: 'four.example', addresses: ['192.0.2.1'] },
    { host: 'six.example', addresses: ['::1'] },
  ]) {
    test(`${host} is all of ${addresses}`, async () => {
      const { servers } = await nameServer(zone);
      expect(await createResolve(() => false, servers)(host)).toEqual(addresses);
    });
  }

  for (const { host, code } of [
    { host: 'none.example', code: 'ENODATA' },
    { host: 'gone.example', code: 'ENOTFOUND' },
  ]) {
    test(`${host} is ${code}`, async () => {
      const { servers } = await nameServer(zone);
      await expect(createResolve(() => false, servers)(host)).rejects.toMatchObject({ code });
    });
  }

  test('a name that the operator vouches for is asked of the system instead', async () => {
    const { servers, asked } = await nameServer(zone);
    const addresses = await createResolve((host) => host === 'localhost', servers)('localhost');
    expect(addresses.every((address) => address === '127.0.0.1' || address === '::1')).toBe(true);
    expect(addresses.length).toBeGreaterThan(0);
    expect(asked).toEqual([]);
  });
});
