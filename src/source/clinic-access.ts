import type { Connection } from '../domain/clinic.ts';
import type { ClinicStore } from '../store/store.ts';
import type { RequestBudget, RequestKind } from './budget.ts';
import type { EventsApi, ListPage, Refusal, RetrievedEvent, Unreadable, VendorClinic } from './events-api.ts';
import type { Endless } from './list-pages.ts';
import type { ConnectionTokens } from './tokens.ts';

/** No connection of the clinic can be used now. */
export interface NoAccess {
  readonly kind: 'noAccess';
  readonly detail: string;
}

export type ListEvents = (ask: {
  readonly clinicId: string;
  readonly category: string;
  readonly afterDay: string;
  readonly page: number;
}) => Promise<ListPage | Refusal | NoAccess>;

export type RetrieveEvent = (ask: {
  readonly clinicId: string;
  readonly eventId: string;
}) => Promise<RetrievedEvent | Unreadable | Refusal | NoAccess>;

export interface ClinicAccessDependencies {
  readonly store: Pick<ClinicStore, 'connections'>;
  readonly api: EventsApi;
  readonly tokens: ConnectionTokens;
  readonly budget: RequestBudget;
}

type Answer = { readonly kind: string };

/** What was answered, and to which access token; `null` when there was none to ask with. */
export type Answered<A extends Answer> =
  | { readonly answer: A | Refusal; readonly accessToken: string }
  | { readonly answer: NoAccess; readonly accessToken: null };

/** The vendor's API by clinic: with a token of one of its users, within the budget. */
export class ClinicAccess {
  readonly #dependencies: ClinicAccessDependencies;
  /** Connections that got other tokens: not used until the vendor has named the same clinic. */
  readonly #suspects = new Set<string>();

  constructor(dependencies: ClinicAccessDependencies) {
    this.#dependencies = dependencies;
  }

  readonly list: ListEvents = ({ clinicId, ...ask }) =>
    this.#asClinic(clinicId, 'list', (accessToken) => this.#dependencies.api.list(accessToken, ask));

  /** The same with requests that nobody else needs: it may wait long. */
  readonly listSparingly: ListEvents = ({ clinicId, ...ask }) =>
    this.#asClinic(clinicId, 'spare', (accessToken) => this.#dependencies.api.list(accessToken, ask));

  readonly retrieve: RetrieveEvent = ({ clinicId, eventId }) =>
    this.#asClinic(clinicId, 'retrieve', (accessToken) =>
      this.#dependencies.api.retrieve(accessToken, eventId),
    );

  /** The same with requests that nobody else needs: it may wait long. */
  readonly retrieveSparingly: RetrieveEvent = ({ clinicId, eventId }) =>
    this.#asClinic(clinicId, 'spare', (accessToken) => this.#dependencies.api.retrieve(accessToken, eventId));

  /** The connection got other tokens, which may be another clinic's. */
  suspect(connectionId: string): void {
    this.#suspects.add(connectionId);
    this.#dependencies.tokens.forget(connectionId);
  }

  /** The vendor has named the connection's clinic. */
  trust(connectionId: string): void {
    this.#suspects.delete(connectionId);
  }

  isSuspect(connectionId: string): boolean {
    return this.#suspects.has(connectionId);
  }

  /** Its events can be asked for through this connection. */
  isUsable({ id, state }: Connection): boolean {
    return state === 'working' && !this.isSuspect(id);
  }

  /** The clinic of a connection's user, as the vendor names it. */
  async clinicOf(connection: Connection): Promise<Answered<VendorClinic>> {
    const answered = await this.#asConnection(connection, 'list', (accessToken) =>
      this.#dependencies.api.clinic(accessToken),
    );
    const { answer, accessToken } = answered;
    if (answer.kind === 'unauthorized') {
      await this.#dependencies.tokens.giveUp(connection.id, accessToken, 'the vendor refuses a fresh token');
    }
    return answered;
  }

  /**
   * A 401 may mean an expired token, a missing scope or a revoked authorization, and the
   * vendor does not say which: the token is renewed once; if it is refused again,
   * `GET /clinic` tells the scope (it works) from the rest (it does not). Without access a
   * spare connection takes over at once.
   */
  async #asClinic<A extends Answer>(
    clinicId: string,
    kind: RequestKind,
    ask: (accessToken: string) => Promise<A | Refusal>,
  ): Promise<A | Refusal | NoAccess> {
    let noAccess: NoAccess = { kind: 'noAccess', detail: 'no connection of the clinic works' };
    for (const connection of await this.#dependencies.store.connections()) {
      if (connection.clinicId !== clinicId || !this.isUsable(connection)) continue;
      const { answer, accessToken } = await this.#asConnection(connection, kind, ask);
      if (accessToken === null) {
        noAccess = answer;
        continue;
      }
      if (answer.kind !== 'unauthorized') return answer;
      const { answer: clinic } = await this.clinicOf(connection);
      if (clinic.kind === 'clinic') return { kind: 'forbidden' };
      if (clinic.kind !== 'unauthorized') return clinic;
      noAccess = { kind: 'noAccess', detail: 'the vendor refuses a fresh token' };
    }
    return noAccess;
  }

  async #asConnection<A extends Answer>(
    connection: Connection,
    kind: RequestKind,
    ask: (accessToken: string) => Promise<A | Refusal>,
  ): Promise<Answered<A>> {
    const { tokens, budget } = this.#dependencies;
    const run = async (accessToken: string): Promise<A | Refusal> => {
      const answer = await budget.run(kind, () => ask(accessToken), connection.clinicId);
      if (isLimited(answer)) budget.pause(answer.retryAfterMs);
      else if (answer.kind !== 'unavailable') budget.answered();
      return answer;
    };
    let current = await tokens.current(connection);
    if (current.kind !== 'token') return noAnswer(current.detail);
    let answer = await run(current.accessToken);
    if (answer.kind === 'unauthorized') {
      current = await tokens.renew(connection.id, current.accessToken);
      if (current.kind !== 'token') return noAnswer(current.detail);
      answer = await run(current.accessToken);
    }
    const saysNothing = ['unauthorized', 'unavailable', 'limited'].includes(answer.kind);
    if (!saysNothing) await tokens.worked(connection);
    return { answer, accessToken: current.accessToken };
  }
}

function noAnswer(detail: string): { readonly answer: NoAccess; readonly accessToken: null } {
  return { answer: { kind: 'noAccess', detail }, accessToken: null };
}

/** The vendor asks the whole app for air. */
export function isLimited(answer: Answer): answer is Extract<Refusal, { kind: 'limited' }> {
  return answer.kind === 'limited';
}

/** One line on what was answered instead. */
export function wordsOf(answer: Refusal | Unreadable | NoAccess | Endless): string {
  switch (answer.kind) {
    case 'unauthorized':
      return 'status 401';
    case 'forbidden':
      return 'status 403';
    case 'notFound':
      return 'status 404';
    case 'limited':
    case 'rejected':
      return `status ${answer.status}`;
    case 'endless':
    case 'tooLarge':
    case 'unreadable':
    case 'unavailable':
    case 'noAccess':
      return answer.detail;
  }
}
