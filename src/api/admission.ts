import type { Request, RequestHandler, Response } from 'express';
import { ipKeyGenerator, type Options, rateLimit } from 'express-rate-limit';
import { RelayError } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import { type Caller, type CheckToken, mayDo } from './auth.ts';
import type { Route } from './route.ts';

export interface RequestLimits {
  /** For one token. */
  readonly perMinute: number;
  /** For one token, of requests that make the relay send one of its own. */
  readonly diallingPerMinute: number;
  /** For one address, or one IPv6 /64, of requests whose token was refused. */
  readonly refusedPerMinute: number;
  /** For one address, of requests that need no token and read the store. */
  readonly openPerMinute: number;
}

export const defaultLimits: RequestLimits = {
  perMinute: 600,
  diallingPerMinute: 60,
  refusedPerMinute: 60,
  openPerMinute: 120,
};

export interface Admission {
  /** Answers 401, or knows the caller from then on. */
  readonly authenticate: RequestHandler;
  /** Asked again while its answer lasts. */
  readonly isStillBelieved: (request: Request) => Promise<boolean>;
  /** Counts a refusal against the caller's address: `next` gets an error when there were too many. */
  readonly slowDown: RequestHandler;
  /** For what needs no token: 429 when the address has asked too often. */
  readonly limitAddress: RequestHandler;
  /** 403 without the scope; 429 when the token has asked too often. */
  readonly admit: (route: Route) => readonly RequestHandler[];
}

/** Who is let in, and how often. A flood under one token, or without any, leaves the others alone. */
export function createAdmission(dependencies: {
  readonly checkToken: CheckToken;
  readonly logger: Logger;
  readonly limits: RequestLimits;
}): Admission {
  const { checkToken, logger, limits } = dependencies;
  const perToken = limiter(limits.perMinute, tokenKey);
  const perTokenDialling = limiter(limits.diallingPerMinute, tokenKey);
  const perAddress = limiter(limits.refusedPerMinute, addressKey);

  return {
    limitAddress: limiter(limits.openPerMinute, addressKey),
    slowDown: perAddress,
    async isStillBelieved(request) {
      const token = bearerOf(request);
      return token !== null && (await checkToken(token)).kind === 'believed';
    },
    async authenticate(request, response, next) {
      const token = bearerOf(request);
      const verdict =
        token === null ? ({ kind: 'refused', reason: 'there is none' } as const) : await checkToken(token);
      if (verdict.kind === 'believed') {
        response.locals.caller = verdict.caller;
        next();
        return;
      }
      logger.debug('A token was refused.', { reason: verdict.reason, requestId: response.locals.requestId });
      await perAddress(request, response, (limited?: unknown) => {
        if (limited) return next(limited);
        response.setHeader('www-authenticate', 'Bearer realm="fullscript-relay"');
        next(unauthorized());
      });
    },
    admit: (route) => [
      perToken,
      (_request, response, next) => {
        const caller = callerOf(response);
        if (mayDo(caller, route.scope)) return next();
        logger.warn('A token has not the scope for a route.', {
          subject: caller.subject,
          jti: caller.jti,
          method: route.method,
          route: route.path,
          requestId: response.locals.requestId,
        });
        next(
          new RelayError('forbidden', `This needs a token with the scope ${route.scope}.`, {
            hint: `\`relay token create --scope ${route.scope}\` makes one.`,
          }),
        );
      },
      ...(route.isDialling ? [perTokenDialling] : []),
    ],
  };
}

export function callerOf(response: Response): Caller {
  return response.locals.caller as Caller;
}

/** The token of the one Authorization header; two of them could mean two different callers. */
function bearerOf({ rawHeaders, headers }: Request): string | null {
  const given = rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === 'authorization');
  if (given.length !== 1) return null;
  return /^Bearer ([\x21-\x7e]+)$/i.exec(headers.authorization ?? '')?.[1] ?? null;
}

function unauthorized(): RelayError {
  return new RelayError('unauthorized', 'This needs a valid token: `Authorization: Bearer …`.', {
    hint: '`relay token create` makes one; tokens end, and can be revoked.',
  });
}

function addressKey(request: Request): string {
  return ipKeyGenerator(request.ip ?? '', 64);
}

function tokenKey(_request: Request, response: Response): string {
  return callerOf(response).jti;
}

function limiter(limit: number, keyGenerator: NonNullable<Options['keyGenerator']>) {
  return rateLimit({
    windowMs: 60_000,
    limit,
    keyGenerator,
    standardHeaders: 'draft-7',
    legacyHeaders: false,
    // It would print a warning for each header that somebody spoofs.
    validate: false,
    handler: (_request, _response, next) =>
      next(
        new RelayError('rate_limited', 'Too many requests.', {
          hint: 'Wait as long as the Retry-After header says.',
        }),
      ),
  });
}
