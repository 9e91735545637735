import { z } from 'zod';

/** Where reading or sending begins: that long ago (`{agoMs: 0}` is now), or at an instant. */
export type StartFrom = { readonly agoMs: number } | { readonly at: number };

const unitMs = { d: 86_400_000, h: 3_600_000, m: 60_000 } as const;

/**
 * `now`, a length of time such as `30d`, `12h` or `15m`, or an instant with its zone and
 * not before 1970; `null` when the text is none of these.
 */
export function readStartFrom(text: string): StartFrom | null {
  if (text === 'now') return { agoMs: 0 };
  const [, amount, unit] = /^(\d{1,5})([dhm])$/.exec(text) ?? [];
  if (amount !== undefined) return { agoMs: Number(amount) * unitMs[unit as keyof typeof unitMs] };
  const instant = z.iso.datetime({ offset: true }).safeParse(text);
  const at = instant.success ? Date.parse(instant.data) : Number.NaN;
  return at >= 0 ? { at } : null;
}

/** Epoch milliseconds, given the present moment; of a text that `startFromInput` took. */
export function startOf(text: string, now: number): number {
  const start = readStartFrom(text);
  if (start === null) throw new Error(`checked before: ${text}`);
  return 'at' in start ? start.at : now - start.agoMs;
}

/** The same in the file and in the API. */
export const startFromInput = z
  .string()
  .refine(
    (text) => readStartFrom(text) !== null,
    'must be "now", a length of time such as 30d or 12h, or an instant such as 2026-11-22T08:00:00Z',
  );
