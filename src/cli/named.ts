import { listClinics } from '../client/clinics.ts';
import type { CallApi } from '../client/relay-api.ts';
import { listSubscribers } from '../client/subscribers.ts';
import { NotFound, RelayError } from '../domain/errors.ts';
import { badUsage } from './verb.ts';

/** The id of the subscriber that somebody means by an id or a name. @throws NotFound */
export async function subscriberIdOf(call: CallApi, idOrName: string): Promise<string> {
  return idAmong('subscriber', await listSubscribers(call), idOrName);
}

/** The id of the clinic that somebody means by an id or a name. @throws NotFound */
export async function clinicIdOf(call: CallApi, idOrName: string): Promise<string> {
  return idAmong('clinic', await listClinics(call), idOrName);
}

/** Names by id, of the subscribers that there are; those of deleted ones are gone. */
export async function subscriberNames(call: CallApi): Promise<ReadonlyMap<string, string>> {
  return new Map((await listSubscribers(call)).map(({ id, name }) => [id, name]));
}

interface Named {
  readonly id: string;
  readonly name: string;
}

/** An id wins over a name; names are unique among one owner's only, so an admin may meet two. */
function idAmong(kind: string, things: readonly Named[], idOrName: string): string {
  if (things.some(({ id }) => id === idOrName)) return idOrName;
  const [first, ...others] = things.filter(({ name }) => name === idOrName);
  if (first === undefined) {
    throw new NotFound(kind, idOrName, `\`relay ${kind}s list\` shows those that there are.`);
  }
  if (others.length > 0) {
    const ids = [first, ...others].map(({ id }) => id).join(', ');
    throw new RelayError('name_ambiguous', `Several ${kind}s are named ${idOrName}: ${ids}.`, {
      hint: 'Name the one that you mean by its id.',
    });
  }
  return first.id;
}

/** What is to be resumed: the one that is named, or `null` for all that a restore holds. @throws InvalidInput */
export function oneOrRestored(
  idOrName: string | undefined,
  isRestored: true | undefined,
): readonly [string] | null {
  if (idOrName !== undefined && !isRestored) return [idOrName];
  if (idOrName === undefined && isRestored) return null;
  throw badUsage('One is resumed by its name, or all with --restored.', 'Give one of the two.');
}
