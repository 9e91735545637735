import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { byClinic, type Clinic, type Connection } from '../domain/clinic.ts';
import { assumedTokenLifeMs, type ClinicInput, clinicInput } from '../domain/clinic-input.ts';
import { Conflict, NotFound } from '../domain/errors.ts';
import type { StartCount } from '../source/start-count.ts';
import type { ClinicStore, PollStore, Revocation } from '../store/store.ts';
import { mayDo } from './auth.ts';
import { clinicView, namedClinicView, type Reading, readingsOf, viewOfReading } from './clinic-view.ts';
import { listOf, pageOf, pageQuery, shown } from './query.ts';
import { newId, type Route, route } from './route.ts';
import { type UrlVerdict, vettedUrl } from './url-verdict.ts';

const newClinicInput = clinicInput.safeExtend({ dryRun: z.boolean().default(false) });

const startCountView = z.object({
  dryRun: z.literal(true),
  clinicId: z.string(),
  name: z.string(),
  startAt: z.string(),
  categories: z.array(
    z.object({
      category: z.string(),
      /** Created from the start on: what would be recorded and sent. */
      taken: z.number(),
      /** Created before: known, and not sent. */
      past: z.number(),
      /** There are more than were counted. */
      isAtLeast: z.boolean(),
      /** Why it could not be counted, in one line. */
      problem: z.string().nullable(),
    }),
  ),
});

const disconnectedView = z.object({
  id: z.string(),
  /** `false`: Fullscript has not taken that yet. It is tried again for some hours, after a restart too. */
  areTokensRevoked: z.boolean(),
});

export interface ClinicsDependencies {
  readonly store: Pick<
    ClinicStore,
    'clinics' | 'changeClinic' | 'connections' | 'saveConnection' | 'deleteConnection' | 'forgetTokens'
  > &
    Pick<PollStore, 'pollSoon' | 'streams'>;
  readonly clock: Pick<Clock, 'now'>;
  /** Those that are read. */
  readonly categories: readonly string[];
  readonly vetTokenUrl: (text: string) => UrlVerdict;
  /** What a clinic would bring from its start on; nothing is kept of it. */
  readonly countStart: (input: ClinicInput) => Promise<StartCount>;
  /** Ends tokens at the vendor; `false`: not all of them yet, and it is tried again. */
  readonly revokeTokens: (owed: readonly Revocation[]) => Promise<boolean>;
  /** A connection is new or has other tokens: its clinic is to be asked for. */
  readonly connectionChanged: (connectionId: string) => void;
  readonly wakePoller: () => void;
}

export function clinicRoutes(dependencies: ClinicsDependencies): readonly Route[] {
  const { store, clock, categories, wakePoller } = dependencies;

  const progress = async () => ({ streams: byClinic(await store.streams()), categories, now: clock.now() });

  const readings = async (): Promise<readonly Reading[]> =>
    readingsOf(await store.clinics(), await store.connections());

  /** By the clinic's id, or the connection's while its clinic is not known. @throws NotFound */
  const readingFor = async (id: string): Promise<Reading> => {
    const found = (await readings()).find((reading) => reading.id === id);
    if (found === undefined) throw new NotFound('clinic', id);
    return found;
  };

  const setPaused = async (id: string, isPaused: boolean): Promise<unknown> => {
    const reading = await readingFor(id);
    const held = isPaused ? [] : reading.connections.filter(({ state }) => state === 'restored');
    // Before its tokens have worked once there is no clinic that could be paused.
    if (reading.clinic !== null || held.length === 0) {
      await store.changeClinic(knownClinic(reading).id, { isPaused });
    }
    for (const connection of held) {
      await store.saveConnection({ ...connection, tokens: null, spareTokens: null, state: 'working' });
    }
    wakePoller();
    return viewOfReading(await readingFor(id), await progress());
  };

  return [
    route({
      method: 'get',
      path: '/v1/clinics',
      scope: 'read',
      summary: 'List clinics: ids and names, and for an admin how each is doing',
      query: z.strictObject(pageQuery),
      answers: { status: 200, schema: listOf(z.union([clinicView, namedClinicView])) },
      async answer({ caller, query }) {
        const isAdmin = mayDo(caller, 'admin');
        const all = await readings();
        const { items, nextCursor } = pageOf(isAdmin ? all : all.filter(isShownToAll), query);
        const read = await progress();
        const data = items.map((item) =>
          isAdmin ? viewOfReading(item, read) : { id: item.id, name: item.name },
        );
        return { body: { data, nextCursor } };
      },
    }),
    route({
      method: 'post',
      path: '/v1/clinics',
      scope: 'admin',
      summary:
        'Connect a clinic by its tokens, or by a URL that hands them out; with `dryRun` only count what its start takes',
      body: newClinicInput,
      answers: { status: 201, schema: z.union([clinicView, startCountView]) },
      isDialling: true,
      async answer({ body }) {
        if (body.tokenUrl !== undefined) vettedUrl(dependencies.vetTokenUrl, 'tokenUrl', body.tokenUrl);
        const { dryRun, ...input } = body;
        if (dryRun) return { status: 200, body: viewOfCount(await dependencies.countStart(input)) };
        const reading = await connect(dependencies, input, await readings());
        return { body: viewOfReading(reading, await progress()) };
      },
    }),
    route({
      method: 'post',
      path: '/v1/clinics/{id}/poll',
      scope: 'admin',
      summary: 'Read its streams now',
      answers: { status: 202, schema: clinicView },
      async answer({ id }) {
        const reading = await readingFor(id);
        if (reading.clinic !== null) await store.pollSoon(reading.clinic.id);
        wakePoller();
        return { body: viewOfReading(reading, await progress()) };
      },
    }),
    route({
      method: 'post',
      path: '/v1/clinics/{id}/pause',
      scope: 'admin',
      summary: 'Stop reading its streams; its connections stay alive',
      answers: { status: 200, schema: clinicView },
      answer: async ({ id }) => ({ body: await setPaused(id, true) }),
    }),
    route({
      method: 'post',
      path: '/v1/clinics/{id}/resume',
      scope: 'admin',
      summary: 'Read its streams again',
      answers: { status: 200, schema: clinicView },
      answer: async ({ id }) => ({ body: await setPaused(id, false) }),
    }),
    route({
      method: 'delete',
      path: '/v1/clinics/{id}',
      scope: 'admin',
      summary: 'Revoke its tokens and stop reading it; its past events stay',
      answers: { status: 200, schema: disconnectedView },
      async answer({ id }) {
        const found = await readingFor(id);
        const reading = found.clinic === null ? found : (named(found.name, await readings()) ?? found);
        // One that was cut off has removed the clinic and left connections.
        if (reading.clinic?.isRemoved && !reading.connections.some(isConnected)) {
          throw new NotFound('clinic', id);
        }
        const areTokensRevoked = await disconnect(dependencies, reading);
        wakePoller();
        return { body: { id, areTokensRevoked } };
      },
    }),
  ];
}

function isShownToAll({ clinic }: Reading): boolean {
  return clinic !== null && !clinic.isRemoved;
}

function knownClinic({ clinic, name }: Reading): Clinic {
  if (clinic !== null && !clinic.isRemoved) return clinic;
  throw new Conflict('clinic_not_connected', `${name} is not connected.`, {
    hint: clinic === null ? 'Wait until its tokens have worked once.' : 'Connect it again with new tokens.',
  });
}

/** A new connection, or new tokens for one that does not work any more. */
async function connect(
  { store, clock, connectionChanged, wakePoller }: ClinicsDependencies,
  input: ClinicInput,
  readings: readonly Reading[],
): Promise<Reading> {
  const known = named(input.name, readings);
  const replaced = known === null ? null : replaceable(known);
  if (input.startFrom !== undefined && known?.clinic) await checkNotStarted(store, known.clinic);
  const now = clock.now();
  const { accessToken, refreshToken, tokenUrl, tokenUrlSecret } = input;
  const connection: Connection = {
    id: replaced?.id ?? newId('con'),
    // Other tokens may be another clinic's: it is asked for before they are used.
    clinicId: null,
    name: input.name,
    origin:
      tokenUrl === undefined
        ? { kind: 'refreshToken' }
        : { kind: 'tokenUrl', url: tokenUrl, secret: tokenUrlSecret ?? null },
    tokens:
      accessToken === undefined
        ? null
        : { accessToken, refreshToken: refreshToken ?? null, expiresAt: now + assumedTokenLifeMs },
    spareTokens: null,
    declaredDigest: null,
    state: 'working',
    stateReason: null,
    refreshedAt: null,
    createdAt: replaced?.createdAt ?? now,
    ...(input.startFrom !== undefined && { startFrom: input.startFrom }),
  };
  await store.saveConnection(connection);
  if (known?.clinic?.isRemoved) await store.changeClinic(known.clinic.id, { isRemoved: false });
  connectionChanged(connection.id);
  wakePoller();
  const again = readingsOf(await store.clinics(), await store.connections());
  return again.find(({ connections }) => connections.some(({ id }) => id === connection.id)) as Reading;
}

/** A start is chosen once: what lies before it was recorded as of the past. @throws Conflict */
async function checkNotStarted(store: Pick<PollStore, 'streams'>, { id, name }: Clinic): Promise<void> {
  if (!(await store.streams()).some(({ clinicId }) => clinicId === id)) return;
  throw new Conflict('clinic_started', `${name} was read before: its start is chosen.`, {
    hint: 'Leave startFrom out, and send a subscriber what is of the past: `relay subscribers backfill`.',
  });
}

function viewOfCount({ startAt, ...count }: StartCount): z.infer<typeof startCountView> {
  return { dryRun: true, ...count, startAt: shown(startAt), categories: [...count.categories] };
}

/** All there is of a name: its clinic, and connections that wait to be found the clinic's. */
function named(name: string, readings: readonly Reading[]): Reading | null {
  const found = readings.filter((reading) => reading.name === name);
  const first = found.find(({ clinic }) => clinic !== null) ?? found[0];
  return first ? { ...first, connections: found.flatMap(({ connections }) => connections) } : null;
}

/**
 * The connection whose place new tokens take; `null` when there is none left.
 *
 * @throws Conflict `clinic_name_taken` while the name's connection works, `clinic_declared` when it stands in the file
 */
function replaceable({ name, clinic, connections }: Reading): Connection | null {
  if (connections.some(({ declaredDigest }) => declaredDigest !== null)) {
    throw new Conflict('clinic_declared', `${name} stands in the configuration file.`, {
      hint: 'Change its tokens there and start the relay again.',
    });
  }
  const isSpent = clinic?.isRemoved || connections.every(({ state }) => state !== 'working');
  if (!isSpent) {
    throw new Conflict('clinic_name_taken', `There is a clinic named ${name} already.`, {
      hint: 'Choose another name, or disconnect the one there is.',
    });
  }
  return connections[0] ?? null;
}

/** There is something to take off the record. */
function isConnected({ declaredDigest, tokens, spareTokens }: Connection): boolean {
  return declaredDigest === null || tokens !== null || spareTokens !== null;
}

/**
 * Removed first, so that nothing is polled from then on, whatever comes in between; and
 * no connection has a token any more by the time that the vendor, which may hang, is asked
 * to revoke it. What stands in the file is remembered with its digest: it stays removed
 * until it is changed there.
 *
 * @returns whether the vendor has ended all of its tokens.
 */
async function disconnect(
  { store, revokeTokens }: ClinicsDependencies,
  { clinic, connections }: Reading,
): Promise<boolean> {
  if (clinic !== null) await store.changeClinic(clinic.id, { isRemoved: true });
  const owed: Revocation[] = [];
  for (const { id, declaredDigest } of connections) {
    const ofConnection =
      declaredDigest === null
        ? await store.deleteConnection(id, { isRevoked: true })
        : await store.forgetTokens(id, 'it was disconnected through the API');
    owed.push(...ofConnection);
  }
  return revokeTokens(owed);
}
