/** What one check found: one line, and what to do about it unless it is `ok`. */
export interface Finding {
  readonly check: string;
  readonly verdict: 'ok' | 'warn' | 'fail';
  readonly message: string;
  readonly todo: string | null;
}

export function ok(check: string, message: string): Finding {
  return { check, verdict: 'ok', message, todo: null };
}

export function warning(check: string, message: string, todo: string): Finding {
  return { check, verdict: 'warn', message, todo };
}

export function failure(check: string, message: string, todo: string): Finding {
  return { check, verdict: 'fail', message, todo };
}
