import type { LogDestination } from '../logger.ts';
import type { OutputStream } from './print.ts';

/** What a reader may be behind before lines are left out. */
const waitingBytesMax = 1024 * 1024;

/**
 * Writes the log to a stream whose reader may have stopped: the relay neither waits for it
 * nor keeps all that it does not read. Once lines were left out, the next line that fits
 * follows one that says how many.
 *
 * @param wall for the time in that line, epoch milliseconds.
 */
export function logOutput(stream: OutputStream, wall: () => number): LogDestination {
  let leftOut = 0;
  return {
    write(line) {
      if ((stream.writableLength ?? 0) > waitingBytesMax) {
        leftOut += 1;
        return;
      }
      if (leftOut > 0) {
        const time = new Date(wall()).toISOString();
        const msg = 'Lines of this log were left out: nobody read them in time.';
        stream.write(`${JSON.stringify({ level: 40, time, lines: leftOut, msg })}\n`);
        leftOut = 0;
      }
      stream.write(line);
    },
  };
}
