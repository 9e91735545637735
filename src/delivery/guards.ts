import { classOfAddress } from '../domain/address-class.ts';
import { type AllowEntry, parseAllowEntry } from '../domain/allow-entry.ts';
import type { Problem } from '../domain/errors.ts';
import { isPrivateName } from '../domain/host-name.ts';
import { parseIpAddress } from '../domain/ip-address.ts';
import { type AddressGuard, createAddressGuard, type GuardOptions } from './address-guard.ts';
import { hostAndPort, readUrl, type Target } from './url-text.ts';

/** Decide about every address that somebody chose. */
export interface Guards {
  /** Where events are sent. */
  readonly subscribers: AddressGuard;
  /**
   * Where access tokens are asked for: where events may be sent, and where a clinic of the
   * configuration file says. Who writes the file is who writes `delivery.allow`, so naming a
   * host there allows it, for tokens and for nothing else; what comes through the API does
   * not. Plain http is allowed by it only within private networks.
   */
  readonly tokenUrls: AddressGuard;
  /** Where operational events are sent: where events may be, and the URL that the file names for them. */
  readonly operationalEvents: AddressGuard;
}

/** As much of the configuration as holds addresses that are vetted. */
export interface Declared {
  readonly subscribers: readonly { readonly url: string }[];
  readonly clinics: readonly { readonly tokenUrl?: string | undefined }[];
  readonly operationalEvents?: { readonly url: string } | undefined;
}

export function createGuards(options: GuardOptions, { clinics, operationalEvents }: Declared): Guards {
  const named = clinics.flatMap(({ tokenUrl }) => (tokenUrl === undefined ? [] : allowedBy(tokenUrl)));
  return {
    subscribers: createAddressGuard(options),
    tokenUrls: createAddressGuard({ ...options, allow: [...options.allow, ...named] }),
    operationalEvents: createAddressGuard({
      ...options,
      allow: [...options.allow, ...(operationalEvents ? allowedBy(operationalEvents.url) : [])],
    }),
  };
}

function allowedBy(url: string): readonly AllowEntry[] {
  const read = readUrl(url);
  if (read.kind === 'problem' || !(read.target.isTls || isPrivate(read.target))) return [];
  const entry = parseAllowEntry(hostAndPort(read.target));
  return entry.kind === 'problem' ? [] : [entry];
}

function isPrivate({ host }: Target): boolean {
  const address = parseIpAddress(host);
  return address === null ? isPrivateName(host) : classOfAddress(address).kind === 'private';
}

/** The declared addresses that would never be dialled: mistakes in the file. */
export function refusedOf(
  { subscribers, clinics, operationalEvents }: Declared,
  guards: Guards,
): readonly Problem[] {
  return [
    ...subscribers.flatMap(({ url }, at) => problemOf(guards.subscribers, `subscribers[${at}].url`, url)),
    ...clinics.flatMap(({ tokenUrl }, at) =>
      tokenUrl === undefined ? [] : problemOf(guards.tokenUrls, `clinics[${at}].tokenUrl`, tokenUrl),
    ),
    ...(operationalEvents
      ? problemOf(guards.operationalEvents, 'operationalEvents.url', operationalEvents.url)
      : []),
  ];
}

function problemOf(guard: AddressGuard, path: string, url: string): readonly Problem[] {
  const verdict = guard.vetUrl(url);
  if (verdict.kind === 'ok') return [];
  const remedy = verdict.allowWith === null ? '' : `; ${verdict.allowWith} would allow it`;
  return [{ path, message: `is refused: ${verdict.reason}${remedy}` }];
}
