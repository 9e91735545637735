import { allPages } from './pages.ts';
import { type CallApi, pathOf } from './relay-api.ts';

/** Without the scope `admin` only the id and the name are shown. */
export interface ClinicView {
  /** The vendor's, or the connection's while its tokens were not used yet. */
  readonly id: string;
  readonly name: string;
  readonly state?: 'active' | 'paused' | 'connecting' | 'waiting' | 'needsReconnect' | 'removed';
  readonly stateReason?: string | null;
  /** While it is not read: how long the vendor still lists all that is missing. */
  readonly daysLeft?: number | null;
  readonly connections?: readonly { readonly state: 'working' | 'needsReconnect' | 'restored' }[];
}

/** What the start of a new clinic would take. */
export interface StartCountView {
  readonly clinicId: string;
  readonly name: string;
  readonly startAt: string;
  readonly categories: readonly {
    readonly category: string;
    readonly taken: number;
    readonly past: number;
    readonly isAtLeast: boolean;
    readonly problem: string | null;
  }[];
}

/** A clinic by a pair of tokens that the relay alone rotates, or by a URL that hands out access tokens. */
export interface ClinicInput {
  readonly name: string;
  readonly accessToken?: string;
  readonly refreshToken?: string;
  readonly tokenUrl?: string;
  readonly tokenUrlSecret?: string;
  /** `now`, a length of time, or an instant. */
  readonly startFrom?: string;
}

export function listClinics(call: CallApi): Promise<readonly ClinicView[]> {
  return allPages(call, '/v1/clinics');
}

export interface ConnectLink {
  /** For a user of the clinic, good until `expiresAt` and once. */
  readonly authorizeUrl: string;
  readonly connectionId: string;
  readonly expiresAt: string;
}

/** @param name absent: as Fullscript calls the clinic. */
export async function connectClinic(call: CallApi, name: string | undefined): Promise<ConnectLink> {
  const body = name === undefined ? {} : { name };
  return (await call({ method: 'POST', path: '/v1/clinics/connect', body })) as ConnectLink;
}

/** What has come of a link so far. */
export interface ConnectOutcome {
  readonly state: 'waiting' | 'connected' | 'failed';
  readonly clinicId: string | null;
  readonly name: string | null;
  /** Why it failed, or what is waited for. */
  readonly reason: string | null;
}

export async function connectOutcome(call: CallApi, connectionId: string): Promise<ConnectOutcome> {
  const path = pathOf('v1', 'clinics', 'connect', connectionId);
  return (await call({ method: 'GET', path })) as ConnectOutcome;
}

export async function addClinic(call: CallApi, body: ClinicInput): Promise<ClinicView> {
  return (await call({ method: 'POST', path: '/v1/clinics', body })) as ClinicView;
}

/** What its start would take; nothing is connected. */
export async function countClinic(call: CallApi, input: ClinicInput): Promise<StartCountView> {
  const body = { ...input, dryRun: true };
  return (await call({ method: 'POST', path: '/v1/clinics', body })) as StartCountView;
}

/** `poll` makes its streams due now; `pause` keeps its connections alive and reads nothing. */
export async function tellClinic(
  call: CallApi,
  id: string,
  what: 'poll' | 'pause' | 'resume',
): Promise<unknown> {
  return call({ method: 'POST', path: pathOf('v1', 'clinics', id, what) });
}

export interface Disconnected {
  readonly id: string;
  /** `false`: Fullscript has not taken that yet, and the relay tries it again. */
  readonly areTokensRevoked: boolean;
}

/** Revokes its tokens and stops polling it; its past events stay. */
export async function disconnectClinic(call: CallApi, id: string): Promise<Disconnected> {
  return (await call({ method: 'DELETE', path: pathOf('v1', 'clinics', id) })) as Disconnected;
}
