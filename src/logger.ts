import { pino } from 'pino';

/**
 * One line a happening: a fixed sentence and flat facts. Facts are ids, names, numbers
 * and codes; never a body, a token, a secret, a header value or a whole error object.
 */
export interface Logger {
  debug(message: string, facts?: LogFacts): void;
  info(message: string, facts?: LogFacts): void;
  warn(message: string, facts?: LogFacts): void;
  error(message: string, facts?: LogFacts): void;
}

export type LogFacts = Readonly<Record<string, string | number | boolean | null | undefined>>;

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Takes whole lines. */
export interface LogDestination {
  write(line: string): void;
}

/** JSON lines on standard output, or on `destination`. */
export function jsonLogger(level: LogLevel, destination: LogDestination = process.stdout): Logger {
  const out = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  return {
    debug: (message, facts) => out.debug(facts ?? {}, message),
    info: (message, facts) => out.info(facts ?? {}, message),
    warn: (message, facts) => out.warn(facts ?? {}, message),
    error: (message, facts) => out.error(facts ?? {}, message),
  };
}

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };
