import type { Clock } from '../clock.ts';
import { InvalidInput } from '../domain/errors.ts';
import { AuthorizePage } from './authorize-page.ts';
import { ClinicIndex, defaultClinicNames, type SandboxClinic, sandboxClinics } from './clinics.ts';
import { type Category, EventLog, type StoredEvent } from './event-log.ts';
import { type EventAsk, EventMaker } from './event-maker.ts';
import { Exchange, type RequestCounts, type Work } from './exchange.ts';
import type { Moment } from './fault-kind.ts';
import { Faults } from './faults.ts';
import { ofNoClinic } from './faults-of-events.ts';
import { idsOn, listItem, pageText } from './list-page.ts';
import { type ListDialect, pageOf, pageSizeMax, readListQuery } from './list-query.ts';
import { seededRandom, seedOf } from './random.ts';
import { documentedLimit, RollingLimit } from './rate-limit.ts';
import { apiError, jsonReply, type Reply } from './reply.ts';
import { bearerTokenOf, routeOf, type VendorRequest } from './route.ts';
import { TokenEndpoint } from './token-endpoint.ts';
import { accessTokenSeconds, Tokens } from './tokens.ts';

export const sandboxClientId = 'sandbox-client';
export const sandboxClientSecret = 'sandbox-secret';
/** Where a relay on its default port is called back. */
export const sandboxRedirectUri = 'http://127.0.0.1:8080/oauth/callback';

export interface FullscriptOptions {
  readonly clock: Pick<Clock, 'now'>;
  readonly seed: number;
  readonly clinics?: readonly string[];
  readonly clientId?: string;
  readonly clientSecret?: string;
  readonly redirectUris?: readonly string[];
  readonly limit?: { readonly requests: number; readonly windowMs: number };
}

/**
 * Fullscript's OAuth and events API as a value: requests in, answers out, no sockets and
 * no timers. Whatever it shows depends on its clock, its seed and what it was asked.
 */
export class Fullscript {
  readonly clinics: readonly SandboxClinic[];
  readonly faults: Faults;
  readonly seed: number;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #maker: EventMaker;
  readonly #index: ClinicIndex;
  readonly #log = new EventLog();
  readonly #tokens: Tokens;
  readonly #tokenEndpoint: TokenEndpoint;
  readonly #authorizePage: AuthorizePage;
  readonly #exchange: Exchange;

  /** @throws InvalidInput `sandbox_clinics_invalid` */
  constructor(options: FullscriptOptions) {
    const app = {
      clientId: options.clientId ?? sandboxClientId,
      clientSecret: options.clientSecret ?? sandboxClientSecret,
      redirectUris: options.redirectUris ?? [sandboxRedirectUri],
    };
    this.#clock = options.clock;
    this.seed = options.seed;
    this.clinics = sandboxClinics(options.clinics ?? defaultClinicNames);
    this.#index = new ClinicIndex(this.clinics);
    this.faults = new Faults((idOrName) => this.#index.find(idOrName).id);
    const random = seededRandom(seedOf(options.seed, 'answers'));
    this.#maker = new EventMaker(options.seed);
    this.#exchange = new Exchange({
      clock: this.#clock,
      faults: this.faults,
      limit: new RollingLimit(options.limit ?? documentedLimit),
      random,
    });
    this.#tokens = new Tokens({
      random,
      key: app.clientSecret,
      clinics: this.clinics,
      now: this.#clock.now(),
    });
    this.#tokenEndpoint = new TokenEndpoint(app, this.#tokens);
    this.#authorizePage = new AuthorizePage(app, this.clinics, this.#tokens);
  }

  /** Answers whatever a client may send; never throws. */
  answer(request: VendorRequest): Reply {
    const route = routeOf(request);
    const accessToken = bearerTokenOf(request);
    switch (route.kind) {
      case 'authorizePage':
        return this.#exchange.headed(this.#authorizePage.show(route.query));
      case 'consent': {
        const form = new URLSearchParams(request.body ?? '');
        return this.#exchange.headed(this.#authorizePage.decide(form, this.#clock.now()));
      }
      case 'token':
        return this.#token(request);
      case 'revoke':
        return this.#revoke(request);
      case 'clinic':
        return this.clinic({ accessToken });
      case 'list':
        return this.list({ accessToken, category: route.category, query: route.query });
      case 'retrieve':
        return this.retrieve({ accessToken, eventId: route.eventId });
      case 'unknown':
        return this.#exchange.headed(apiError(404, 'not_found', 'There is no such address.'));
      case 'unreadable':
        return this.#exchange.headed(apiError(400, 'bad_request', 'The address cannot be read.'));
    }
  }

  /** The clinic of the token's user. */
  clinic(ask: { readonly accessToken: string | null }): Reply {
    return this.#asUser('clinic', ask.accessToken, {}, (clinic) => ({
      reply: jsonReply(
        200,
        JSON.stringify({
          clinic: {
            id: clinic.id,
            name: clinic.name,
            patient_count: 12,
            practitioner_count: 3,
            discount: 0,
            dispensary_url: `https://us.fullscript.example/welcome/${clinic.slug}`,
          },
        }),
      ),
    }));
  }

  /** One page of a category of the clinic of the token's user. */
  list(ask: {
    readonly accessToken: string | null;
    readonly category: Category;
    readonly query: URLSearchParams;
  }): Reply {
    const { accessToken, category } = ask;
    return this.#asUser('list', accessToken, { category }, (clinic, moment) => {
      const query = readListQuery(ask.query, this.#dialect(moment));
      if (typeof query === 'string') return { reply: apiError(400, 'invalid_parameter', query) };
      const { now } = moment;
      const stream = { clinicId: clinic.id, category };
      const listable = this.#log.listable(stream, { now, from: query.from, until: query.until });
      const isFirst = query.pageNumber === 1;
      const found = pageOf(listable, query, isFirst ? 0 : this.faults.take('page-shift', moment)?.items);
      const whole = { key: 'events', items: found.events.map(listItem), meta: found.meta };
      const page = this.faults.page(whole, moment);
      return {
        reply: jsonReply(200, pageText(page)),
        sent: () => this.#log.noteListed(clinic.id, idsOn(page), now),
      };
    });
  }

  /** One event of the clinic of the token's user, its text byte for byte. */
  retrieve(ask: { readonly accessToken: string | null; readonly eventId: string }): Reply {
    const { accessToken, eventId } = ask;
    return this.#asUser('retrieve', accessToken, { eventId }, (clinic, moment) => {
      const event = this.#log.retrievable(clinic.id, eventId, moment.now);
      if (event === null) return { reply: apiError(404, 'not_found', 'There is no such event.') };
      return {
        reply: jsonReply(200, this.faults.wrap(event.text, moment)),
        sent: () => this.#log.noteRetrieved(clinic.id, eventId, moment.now),
      };
    });
  }

  /**
   * Lets something happen at a clinic. Its `created_at` is now, and lists show it from
   * now on, unless the question or a fault says otherwise.
   *
   * @throws NotFound for an unknown clinic; InvalidInput `event_invalid` for an id that the clinic has already
   */
  addEvent(ask: EventAsk & { readonly clinic: string }): StoredEvent {
    const clinic = this.#index.find(ask.clinic);
    const moment = this.#moment('make', clinic.id, {});
    const draft = this.#maker.draft(clinic, ask, moment.now);
    const changed = this.faults.draft(draft, { ...moment, category: draft.category });
    const isShared = changed.category === 'products' && this.faults.take('shared-products', moment) !== null;
    const event = this.#maker.write(clinic, isShared ? ofNoClinic(changed) : changed);
    if (!this.#log.add(event)) {
      throw new InvalidInput('event_invalid', `${clinic.name} has an event ${event.id} already.`, {
        hint: 'Leave id out to get a new one.',
        problems: [{ path: 'id', message: 'is taken' }],
      });
    }
    if (isShared) this.#share(event);
    return event;
  }

  /** Lists the event at every other clinic, byte for byte, as one of the whole catalog. */
  #share(event: StoredEvent): void {
    for (const { id: clinicId } of this.clinics) {
      if (clinicId !== event.clinicId) this.#log.add({ ...event, clinicId });
    }
  }

  /** Every event that was made, of one clinic or of all, and when it was first listed and retrieved. */
  ledger(clinic?: string): readonly StoredEvent[] {
    return this.#log.events(clinic === undefined ? null : this.#index.find(clinic).id);
  }

  requests(): RequestCounts {
    return this.#exchange.requests();
  }

  /** A clinic's users take their permission back in Fullscript's own pages. @throws NotFound */
  revokeClinic(clinic: string): void {
    this.#tokens.revokeClinic(this.#index.find(clinic).id);
  }

  #dialect(moment: Moment): ListDialect {
    const descending = this.faults.take('order-descending', moment);
    return {
      isDescending: descending?.evenIfAsked ? 'always' : descending !== null,
      ignoresDays: this.faults.take('days-ignored', moment) !== null,
      pageSizeMax: this.faults.take('small-pages', moment)?.size ?? pageSizeMax,
      includesNamedDay: this.faults.take('named-day-included', moment) !== null,
      utcOffsetMinutes: this.faults.take('day-zone', moment)?.utcOffsetMinutes ?? 0,
    };
  }

  #token(request: VendorRequest): Reply {
    const form = this.#tokenEndpoint.read(request);
    const user = this.#tokens.userOf(form.refresh_token ?? null);
    const moment = this.#moment('token', user?.clinicId ?? null, {});
    return this.#exchange.run(moment, () => ({
      reply: this.#tokenEndpoint.grant({ contentType: request.contentType, form }, this.#clock.now(), {
        rotation: () => {
          if (this.faults.take('refresh-token-missing', moment) !== null) return 'none';
          return this.faults.take('strict-rotation', moment) === null ? 'graceful' : 'strict';
        },
        refreshTokenLifeMs: () => {
          const limited = this.faults.take('refresh-tokens-expire', moment);
          return limited === null ? Number.POSITIVE_INFINITY : limited.seconds * 1000;
        },
        endsFormerPairs: () => this.faults.take('second-authorization-ends-first', moment) !== null,
        isParticular: () => this.faults.take('particular-token-endpoint', moment) !== null,
      }),
    }));
  }

  #revoke(request: VendorRequest): Reply {
    const form = this.#tokenEndpoint.read(request);
    const user = this.#tokens.userOf(form.token ?? null);
    const moment = this.#moment('revoke', user?.clinicId ?? null, {});
    return this.#exchange.run(moment, () => ({
      reply: this.#tokenEndpoint.revoke(form, () => this.faults.take('revokes-one-token', moment) !== null),
    }));
  }

  #asUser(
    operation: 'clinic' | 'list' | 'retrieve',
    accessToken: string | null,
    about: { readonly category?: Category; readonly eventId?: string },
    work: (clinic: SandboxClinic, moment: Moment) => Work,
  ): Reply {
    const clinicId = this.#tokens.userOf(accessToken)?.clinicId ?? null;
    const moment = this.#moment(operation, clinicId, about);
    return this.#exchange.run(moment, () => {
      const seconds = this.faults.take('tokens-expire-early', moment)?.seconds ?? accessTokenSeconds;
      const lifeMs = Math.min(seconds, accessTokenSeconds) * 1000;
      const found = this.#tokens.authenticate(accessToken, this.#clock.now(), lifeMs);
      if (found.kind === 'refused') return { reply: apiError(401, found.code, found.message) };
      return work(this.#index.find(found.user.clinicId), moment);
    });
  }

  #moment(
    operation: Moment['operation'],
    clinicId: string | null,
    about: { readonly category?: Category; readonly eventId?: string },
  ): Moment {
    const eventId = about.eventId ?? null;
    const event = clinicId === null || eventId === null ? null : this.#log.find(clinicId, eventId);
    const moment: Moment = {
      operation,
      clinicId,
      otherClinicId: this.clinics.find((each) => each.id !== clinicId)?.id ?? strangerId,
      category: about.category ?? event?.category ?? null,
      eventId,
      now: this.#clock.now(),
    };
    const skew = this.faults.take('clock-skewed', moment);
    return skew === null ? moment : { ...moment, now: moment.now + skew.seconds * 1000 };
  }
}

/** A clinic that the sandbox does not have. */
const strangerId = '00000000-0000-4000-8000-000000000000';
