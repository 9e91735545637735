/** As much of a process's stream as is watched here. */
export interface WatchedStream {
  on(event: 'error', listener: (error: NodeJS.ErrnoException) => void): unknown;
}

/**
 * Says how a command ends whose output nobody takes any more. A reader that stopped
 * (`| head -1`) has what it wanted: 0. Anything else (a full disk) is a failure: 1.
 */
export function endWithOutput(
  streams: { readonly stdout: WatchedStream; readonly stderr: WatchedStream },
  on: { readonly tell: (line: string) => void; readonly exit: (code: 0 | 1) => void },
): void {
  streams.stdout.on('error', ({ code }) => {
    if (code === 'EPIPE') return on.exit(0);
    on.tell(`relay: The output cannot be written (${code ?? 'unknown'}).`);
    on.exit(1);
  });
  streams.stderr.on('error', ({ code }) => on.exit(code === 'EPIPE' ? 0 : 1));
}
