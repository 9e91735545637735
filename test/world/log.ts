import type { LogFacts, Logger } from '../../src/logger.ts';

export interface LogLine {
  readonly level: keyof Logger;
  readonly message: string;
  readonly facts: LogFacts;
}

/** A logger that keeps what it is told. */
export function keptLog(): { readonly logger: Logger; readonly lines: readonly LogLine[] } {
  const lines: LogLine[] = [];
  const keep =
    (level: keyof Logger) =>
    (message: string, facts: LogFacts = {}) => {
      lines.push({ level, message, facts });
    };
  return {
    logger: { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') },
    lines,
  };
}
