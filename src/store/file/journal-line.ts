import { crc32 } from 'node:zlib';

/**
 * One line of the journal:
 *
 * `{"c":"<crc>","p":"<crc of the line before>","s":<sequence>,"b":<batch>,"t":"<type>",…}`
 *
 * `c` covers every byte after it up to the newline, so a line can be judged alone; `p`
 * chains it to the one before, so a lost, doubled or swapped line shows. The sequence
 * grows by one with every line. A batch is what one sync covers.
 */
export interface JournalLine {
  readonly sequence: number;
  readonly batch: number;
  /** Of the line before, as 8 hex digits. */
  readonly previous: string;
  /** Of this line, as 8 hex digits. */
  readonly checksum: string;
  readonly fact: { readonly t: string } & Readonly<Record<string, unknown>>;
}

/** A longer line is refused before it is written, so that reading never needs more than this at once. */
export const lineBytesMax = 1024 * 1024;

/** What stands before the first line of a store. */
export const firstChecksum = '00000000';

const prefixBytes = '{"c":"00000000"'.length;

/**
 * The line without its newline, and its checksum.
 * @param factJson the JSON text of an object.
 */
export function writeLine(
  factJson: string,
  place: { readonly sequence: number; readonly batch: number; readonly previous: string },
): { readonly text: string; readonly checksum: string } {
  const rest = `,"p":"${place.previous}","s":${place.sequence},"b":${place.batch},${factJson.slice(1)}`;
  const checksum = hex(crc32(rest));
  return { text: `{"c":"${checksum}"${rest}`, checksum };
}

/** The line, or `null` when these bytes (without newline) are not one that was written whole. */
export function readLine(bytes: Buffer): JournalLine | null {
  if (bytes.length <= prefixBytes || bytes.length > lineBytesMax) return null;
  const rest = bytes.subarray(prefixBytes);
  const checksum = hex(crc32(rest));
  if (bytes.toString('latin1', 0, prefixBytes) !== `{"c":"${checksum}"`) return null;
  try {
    const {
      c: _,
      p: previous,
      s: sequence,
      b: batch,
      ...fact
    } = JSON.parse(bytes.toString()) as Record<string, unknown>;
    if (typeof previous !== 'string' || typeof sequence !== 'number' || typeof batch !== 'number')
      return null;
    if (typeof fact.t !== 'string') return null;
    return { sequence, batch, previous, checksum, fact: { ...fact, t: fact.t } };
  } catch {
    return null;
  }
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}
