import type { IncomingMessage } from 'node:http';

/** A request in which a framework may have left a body; some cloud functions keep `rawBody`. */
export type IncomingRequest = IncomingMessage & { readonly body?: unknown; readonly rawBody?: unknown };

export type RawBody =
  | { readonly kind: 'read'; readonly bytes: Buffer }
  | { readonly kind: 'tooLarge' }
  /** A parser ran before, and the bytes are gone. */
  | { readonly kind: 'consumed' }
  /** The sender hung up in the middle. */
  | { readonly kind: 'aborted' };

/** So much more is read and thrown away, so that a sender hears the refusal before the connection closes. */
const discardedBytesMax = 4 * 1024 * 1024;

/** The body's bytes as they came: read here, or kept by whoever read them before. */
export async function readRawBody(request: IncomingRequest, bytesMax: number): Promise<RawBody> {
  const kept = [request.rawBody, request.body].find((body) => body instanceof Uint8Array);
  if (kept !== undefined) {
    return kept.length > bytesMax ? { kind: 'tooLarge' } : { kind: 'read', bytes: Buffer.from(kept) };
  }
  if (request.readableDidRead) return { kind: 'consumed' };
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      length += (chunk as Buffer).length;
      if (length <= bytesMax) chunks.push(chunk as Buffer);
      else chunks.length = 0;
      if (length > bytesMax + discardedBytesMax) break;
    }
  } catch {
    return { kind: 'aborted' };
  }
  return length > bytesMax ? { kind: 'tooLarge' } : { kind: 'read', bytes: Buffer.concat(chunks) };
}
