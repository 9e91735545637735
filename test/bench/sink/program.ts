import { createServer, type Socket } from 'node:net';

/**
 * Subscribers of every temper, in a process of their own, on raw sockets so that they cost
 * little. The path of a request says what comes back: `/ok` a 200 whose body is the moment
 * (nanoseconds of the machine's monotonic clock) at which the request's first byte came,
 * `/hang` nothing, `/drip` a byte of a header now and then, `/fail` a 500, `/huge` 200 MB.
 */
const hugeBytes = 200_000_000;
const piece = Buffer.alloc(64 * 1024, 'x');

const answers: Readonly<Record<string, (socket: Socket, cameAt: bigint) => void>> = {
  ok: (socket, cameAt) => {
    const body = String(cameAt);
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  },
  hang: () => {},
  drip: (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n');
    const timer = setInterval(() => socket.write('x'), 100);
    socket.once('close', () => clearInterval(timer));
  },
  fail: (socket) => void socket.write('HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno'),
  huge: (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${hugeBytes}\r\n\r\n`);
    let left = hugeBytes;
    // As fast as a line of half a gigabit brings it: how fast this machine could make it up says nothing of the relay.
    const timer = setInterval(() => {
      if (socket.writableNeedDrain) return;
      socket.write(piece);
      left -= piece.length;
      if (left <= 0) clearInterval(timer);
    }, 1);
    socket.once('close', () => clearInterval(timer));
  },
};

const server = createServer((socket) => {
  let pending = '';
  let cameAt = 0n;
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    if (pending === '') cameAt = process.hrtime.bigint();
    pending += chunk.toString('latin1');
    for (let length = wholeRequest(pending); length > 0; length = wholeRequest(pending)) {
      const temper = /^POST \/(\w+)/.exec(pending)?.[1] ?? '';
      pending = pending.slice(length);
      answers[temper]?.(socket, cameAt);
    }
  });
});

/** The length of the request that `text` begins with, or 0 while it is not whole. */
function wholeRequest(text: string): number {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return 0;
  const length = end + 4 + Number(/content-length: (\d+)/i.exec(text.slice(0, end))?.[1] ?? 0);
  return text.length >= length ? length : 0;
}

server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`port ${typeof address === 'object' ? address?.port : ''}\n`);
});
