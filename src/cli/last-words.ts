import { basename } from 'node:path';

/** A fault that nobody caught leaves no state that could be trusted: the process says so in one line, and ends. */
export function endOnFault(
  process: { on(event: 'uncaughtException', listener: (thrown: unknown) => void): unknown },
  end: { readonly tell: (line: string) => void; readonly exit: (code: 1) => void },
): void {
  process.on('uncaughtException', (thrown) => {
    end.tell(
      `relay: The relay has a fault (${nameOf(thrown)}) and ends. Please report this; what was acknowledged is safe.`,
    );
    end.exit(1);
  });
}

/** The kind of error and where it was thrown: its message may quote what nobody but its owner may read. */
function nameOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return 'no error was thrown, but something else';
  const frame = (thrown.stack ?? '').split('\n').find((line) => /^\s+at /.test(line));
  const place = /([^\s(]+):(\d+):\d+\)?$/.exec(frame ?? '');
  return place ? `${thrown.name} at ${basename(place[1] ?? '')}:${place[2]}` : thrown.name;
}
