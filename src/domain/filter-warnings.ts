import { documentedEventTypes, matchesEventType } from './event.ts';

interface Filters {
  readonly eventTypes?: readonly string[] | undefined;
  readonly clinicIds?: readonly string[] | undefined;
}

/**
 * What in a subscriber's filters is allowed and probably not meant: a type that nobody
 * documents, a clinic that nobody knows.
 *
 * @param clinics that are known; `id` is absent where only the configuration names it so far.
 */
export function filterWarnings(
  { eventTypes = [], clinicIds = [] }: Filters,
  clinics: readonly { readonly id?: string; readonly name: string }[],
): readonly string[] {
  const isKnownType = (pattern: string) =>
    documentedEventTypes.some((type) => matchesEventType(pattern, type));
  const isKnownClinic = (idOrName: string) =>
    clinics.some(({ id, name }) => id === idOrName || name === idOrName);
  return [
    ...eventTypes
      .filter((pattern) => !isKnownType(pattern))
      .map(
        (pattern) => `Fullscript documents no event type that ${pattern} stands for; it is kept as it is.`,
      ),
    ...clinicIds
      .filter((idOrName) => !isKnownClinic(idOrName))
      .map((idOrName) => `No clinic has the id or name ${idOrName} yet.`),
  ];
}
