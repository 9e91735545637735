/** The header of one file of a tar archive (ustar), so that any `tar` can look into a backup. Source: POSIX.1-2017, pax. */
export interface TarHeader {
  /** At most 100 bytes of ASCII. */
  readonly name: string;
  readonly bytes: number;
  /** Epoch milliseconds; kept to the second. */
  readonly modifiedAt: number;
}

/** Headers and files begin at multiples of this. */
export const tarBlockBytes = 512;

/** What stands behind the last file. */
export const tarEnd = Buffer.alloc(2 * tarBlockBytes);

const octalMax = 0o77777777777;
const checksumAt = 148;

/** The zeros that fill a file's last block. */
export function tarPadding(bytes: number): Buffer {
  return Buffer.alloc((tarBlockBytes - (bytes % tarBlockBytes)) % tarBlockBytes);
}

export function writeTarHeader({ name, bytes, modifiedAt }: TarHeader): Buffer {
  const header = Buffer.alloc(tarBlockBytes);
  header.write(name, 0, 100, 'ascii');
  header.write('0000600\0', 100, 'ascii');
  header.write('0000000\0', 108, 'ascii');
  header.write('0000000\0', 116, 'ascii');
  if (bytes <= octalMax) header.write(`${octal(bytes, 11)}\0`, 124, 'ascii');
  else {
    // Larger than 8 GiB: in binary, as GNU and BSD tar write and read it.
    header.writeUInt8(0x80, 124);
    header.writeBigUInt64BE(BigInt(bytes), 128);
  }
  header.write(`${octal(Math.floor(modifiedAt / 1000), 11)}\0`, 136, 'ascii');
  header.write('0', 156, 'ascii');
  header.write('ustar\0', 257, 'ascii');
  header.write('00', 263, 'ascii');
  header.write(`${octal(checksumOf(header), 6)}\0 `, checksumAt, 'ascii');
  return header;
}

/** `null` when these are not the 512 bytes of an ordinary file's header as `writeTarHeader` makes it. */
export function readTarHeader(header: Buffer): TarHeader | null {
  if (header.length !== tarBlockBytes || header.toString('latin1', 257, 262) !== 'ustar') return null;
  const name = header.toString('latin1', 0, 100).replace(/\0+$/, '');
  const isLarge = header[124] === 0x80;
  const bytes = isLarge ? Number(header.readBigUInt64BE(128)) : readOctal(header, 124, 11);
  const read = { name, bytes, modifiedAt: readOctal(header, 136, 11) * 1000 };
  if (!Number.isSafeInteger(read.bytes) || !Number.isSafeInteger(read.modifiedAt)) return null;
  return writeTarHeader(read).equals(header) ? read : null;
}

/** Of all bytes, its own eight taken for spaces. */
function checksumOf(header: Buffer): number {
  let sum = 0;
  for (const [at, byte] of header.entries()) {
    sum += at >= checksumAt && at < checksumAt + 8 ? 0x20 : byte;
  }
  return sum;
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}

function readOctal(header: Buffer, at: number, digits: number): number {
  const text = header.toString('latin1', at, at + digits);
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number.NaN;
}
