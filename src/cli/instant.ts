const ago = /^(\d{1,6})([smhd])$/;
const isoInstant = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/;

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * Reads `30d`, `12h`, `15m` or `90s` (that long before `now`), an ISO instant with its zone,
 * or a day (its first moment in UTC), as epoch milliseconds. `null` for everything else:
 * days that do not exist and times without a zone are not guessed at.
 */
export function readInstant(text: string, now: number): number | null {
  const before = ago.exec(text);
  if (before) {
    const at = now - Number(before[1]) * unitMs[before[2] as keyof typeof unitMs];
    return at >= 0 ? at : null;
  }
  const written = isoInstant.exec(text);
  if (!written) return null;
  const [, day = '', hours = '0', minutes = '0', seconds = '0', zone = 'Z'] = written;
  const midnight = Date.parse(`${day}T00:00:00Z`);
  // The parser turns 30 February into 2 March.
  if (Number.isNaN(midnight) || new Date(midnight).toISOString().slice(0, 10) !== day) return null;
  if (Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) return null;
  if (zone !== 'Z' && (Number(zone.slice(1, 3)) > 14 || Number(zone.slice(4)) > 59)) return null;
  const at = Date.parse(text);
  return Number.isNaN(at) || at < 0 ? null : at;
}

/** Reads a length of time, `15m`, `12h`, `30d`, as milliseconds of at least one second; `null` if it is none. */
export function readDuration(text: string): number | null {
  const length = ago.exec(text);
  if (!length) return null;
  const durationMs = Number(length[1]) * unitMs[length[2] as keyof typeof unitMs];
  return durationMs > 0 ? durationMs : null;
}

/** To the second, so that it can be copied into `--since`; `-` for `null`. */
export function shownInstant(at: string | null): string {
  return at === null ? '-' : at.replace(/\.\d+Z$/, 'Z');
}
