import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Surroundings } from '../../src/cli/surroundings.ts';
import { systemClock } from '../../src/clock.ts';

export interface Outside extends Surroundings {
  /** Everything written to standard output so far. */
  readonly out: () => string;
  readonly err: () => string;
  /** What Ctrl-C does. */
  readonly stop: () => void;
}

/** A terminal without a terminal: a temporary folder, an empty environment, streams that remember. */
export async function outside(
  given: Partial<Pick<Surroundings, 'env' | 'clock' | 'folder'>> & {
    readonly stdin?: string;
    readonly columns?: number;
    readonly isTTY?: boolean;
  } = {},
): Promise<Outside & { discard(): Promise<void> }> {
  const folder = given.folder ?? (await mkdtemp(join(tmpdir(), 'relay-cli-')));
  const out: string[] = [];
  const err: string[] = [];
  const listeners = new Set<() => void>();
  const size = given.columns === undefined ? {} : { columns: given.columns };
  return {
    env: given.env ?? {},
    folder,
    clock: given.clock ?? systemClock(),
    stdin: (async function* () {
      yield given.stdin ?? '';
    })(),
    stdout: { write: (text) => out.push(text), isTTY: given.isTTY ?? false, ...size },
    stderr: { write: (text) => err.push(text), isTTY: false },
    onStopSignal(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    out: () => out.join(''),
    err: () => err.join(''),
    stop: () => {
      for (const listener of listeners) listener();
    },
    discard: () => rm(folder, { recursive: true, force: true }),
  };
}
