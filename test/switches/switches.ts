import { type FaultName, faultKinds } from '../../src/sandbox/fault-kinds.ts';
import type { FaultAsk } from '../../src/sandbox/faults.ts';
import type { Random } from '../../src/sandbox/random.ts';

/** The settings that each switch is tried with; every fault has at least one. */
const settingsTried: Readonly<Record<FaultName, readonly Readonly<Record<string, unknown>>[]>> = {
  'rate-limited': [{}, { retryAfterSeconds: 90 }, { retryAfterSeconds: 600, retryAfterAsDate: true }],
  'error-status': [{}, { status: 503, retryAfterSeconds: 60 }, { status: 418 }],
  'html-error': [{}, { status: 200 }],
  redirect: [{}],
  'connection-dropped': [{}, { point: 'after' }, { point: 'during' }],
  'slow-answer': [{}, { ms: 45_000 }],
  'truncated-json': [{}],
  'invalid-utf8': [{}],
  'clock-skewed': [{}, { seconds: -600 }, { seconds: 86_400, times: 9 }],
  unauthorized: [{}],
  'tokens-expire-early': [{}],
  'invalid-grant': [{}],
  'strict-rotation': [{}],
  'refresh-token-missing': [{}],
  'refresh-tokens-expire': [{}, { seconds: 3_600 }],
  'second-authorization-ends-first': [{}],
  'particular-token-endpoint': [{}],
  'revokes-one-token': [{}],
  'odd-expires-in': [{}, { expiresIn: -1 }, { expiresIn: 'soon' }, { expiresIn: null }, { expiresIn: 1e15 }],
  'scope-reduced': [{}],
  'category-missing': [{}, { category: 'orders' }],
  'category-forbidden': [{}, { category: 'orders' }],
  'category-unauthorized': [{}, { category: 'orders' }],
  'retrieval-fails': [{}, { status: 404 }, { status: 401 }, { status: 403 }, { status: 429 }],
  'order-descending': [{}, { evenIfAsked: true }],
  'named-day-included': [{}],
  'day-zone': [{}, { utcOffsetMinutes: 840 }, { utcOffsetMinutes: -840 }],
  'days-ignored': [{}],
  'small-pages': [{}, { size: 1 }],
  'page-shift': [{ times: 5 }, { items: 3, times: 20 }],
  'item-without-id': [{}],
  'items-only-ids': [{}],
  'bare-string-items': [{}],
  'item-twice': [{}],
  'page-cycle': [{}],
  'other-list-key': [{}],
  'bare-list': [{}],
  'list-without-meta': [{}],
  'bare-event': [{}],
  'event-payload-wrapper': [{}],
  'changed-event': [{}],
  'unknown-keys': [{}],
  'reordered-keys': [{}],
  'missing-keys': [{}, { keys: ['clinic_id'] }],
  'shared-products': [{}],
  'without-clinic-id': [{}],
  'item-of-other-clinic': [{}],
  'unknown-type': [{}],
  'odd-ids': [{}],
  'late-listed': [{}, { seconds: 26 * 3_600 }, { seconds: 4 * 86_400, times: 5 }],
  'equal-timestamps': [{}, { seconds: 3_600 }],
  'deep-event': [{}, { depth: 100_000, times: 2 }],
  'huge-event': [
    { bytes: 100_000, times: 3 },
    { bytes: 12_000_000, times: 1 },
  ],
};

/** Every switch by itself. */
export const switchesOneByOne: readonly FaultAsk[] = (Object.keys(settingsTried) as FaultName[]).flatMap(
  (name) => settingsTried[name].map((settings) => ({ name, ...settings })),
);

/** Some of them at once, some for a few strokes only, some for one clinic. */
export function someSwitches(random: Random): readonly FaultAsk[] {
  return Array.from({ length: random.int(2, 5) }, () => {
    const ask = random.pick(switchesOneByOne);
    const isOfClinic = random.next() < 0.3;
    return {
      times: random.next() < 0.3 ? random.int(1, 8) : null,
      ...(isOfClinic && { clinic: random.pick(['Washington', 'New York']) }),
      ...ask,
    };
  });
}

/** Names that no scenario tries: none, or the table above is not whole. */
export const untried = Object.keys(faultKinds).filter((name) => !Object.hasOwn(settingsTried, name));
