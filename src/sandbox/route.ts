import { type Category, isCategory } from './event-log.ts';

/** A request as it comes off the wire, or from whoever drives the model without one. */
export interface VendorRequest {
  readonly method: string;
  /** With the query: `/api/events/orders?page%5Bsize%5D=100`. */
  readonly path: string;
  readonly authorization?: string | undefined;
  readonly contentType?: string | undefined;
  readonly body?: string | undefined;
}

/** What a request asks for. */
export type Route =
  | { readonly kind: 'authorizePage'; readonly query: URLSearchParams }
  | { readonly kind: 'consent' | 'token' | 'revoke' | 'clinic' }
  | { readonly kind: 'list'; readonly category: Category; readonly query: URLSearchParams }
  | { readonly kind: 'retrieve'; readonly eventId: string }
  /** Nothing that the vendor has. */
  | { readonly kind: 'unknown' }
  /** Its path is none, or holds an escape that cannot be read. */
  | { readonly kind: 'unreadable' };

/** A category that does not exist is taken for the id of an event, as the vendor's paths would have it. */
export function routeOf(request: Pick<VendorRequest, 'method' | 'path'>): Route {
  if (!URL.canParse(request.path, 'http://sandbox')) return { kind: 'unreadable' };
  const { pathname, searchParams: query } = new URL(request.path, 'http://sandbox');
  switch (`${request.method} ${pathname}`) {
    case 'GET /api/oauth/authorize':
      return { kind: 'authorizePage', query };
    case 'POST /api/oauth/authorize':
      return { kind: 'consent' };
    case 'POST /api/oauth/token':
      return { kind: 'token' };
    case 'POST /api/oauth/revoke':
      return { kind: 'revoke' };
    case 'GET /api/clinic':
      return { kind: 'clinic' };
  }
  const [, segment] = /^\/api\/events\/([^/]+)$/.exec(pathname) ?? [];
  if (request.method !== 'GET' || segment === undefined) return { kind: 'unknown' };
  if (isCategory(segment)) return { kind: 'list', category: segment, query };
  try {
    return { kind: 'retrieve', eventId: decodeURIComponent(segment) };
  } catch {
    return { kind: 'unreadable' };
  }
}

/** `null` when there is no bearer token. */
export function bearerTokenOf(request: Pick<VendorRequest, 'authorization'>): string | null {
  return /^Bearer +(\S+)$/i.exec(request.authorization ?? '')?.[1] ?? null;
}
