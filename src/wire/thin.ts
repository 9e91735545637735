import { rawJsonAt } from './raw-json.ts';

const kept = ['id', 'type', 'created_at', 'clinic_id'] as const;

/**
 * An event with nothing of a patient's in it: what it is, when, and where to ask for the
 * rest. Each part stays the text that the vendor wrote; what the event has not is left out.
 */
export function thinned(event: string): string {
  const members = kept.flatMap((key) => {
    const text = rawJsonAt(event, [key]);
    return text === null ? [] : [`"${key}":${text}`];
  });
  return `{${members.join(',')}}`;
}
