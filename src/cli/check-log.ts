import type { Config } from '../config.ts';
import { RelayError } from '../domain/errors.ts';
import type { VerifiedLog } from '../main/upkeep.ts';
import { type Finding, failure, ok, warning } from './finding.ts';

const check = 'log';

export interface CheckedLog {
  readonly findings: readonly Finding[];
  /** `null` when it does not fit together. */
  readonly log: VerifiedLog | null;
}

/** Verifies every line of the delivery log, also while a relay writes it. */
export async function checkLog(config: Config, folder: string): Promise<CheckedLog> {
  const { verifyStore } = await import('../main/upkeep.ts');
  try {
    const log = await verifyStore({ config, folder });
    return { findings: findingsOf(log), log };
  } catch (error) {
    return { findings: [faultOf(error)], log: null };
  }
}

function faultOf(error: unknown): Finding {
  if (error instanceof RelayError) return failure(check, error.message, error.hint);
  const why = error instanceof Error ? error.message : 'unknown error';
  return failure(check, `it cannot be read: ${why}.`, 'Run it as the user that the relay runs as.');
}

function findingsOf(log: VerifiedLog): readonly Finding[] {
  const { damagedBodies, droppedBodies, unfinishedBytes, checkpoint } = log;
  const findings = [
    ok(
      check,
      `${log.lines} lines in ${log.commits} commits, ${span(log)}, fit together and were written under this store’s keys`,
    ),
  ];
  if (damagedBodies.count > 0) {
    findings.push(
      failure(
        'bodies',
        `${damagedBodies.count} of ${log.bodies + damagedBodies.count} sealed bodies cannot be read: ${damagedBodies.first.join('; ')}.`,
        'Restore the file from a backup: what is lost cannot be sent.',
      ),
    );
  } else {
    const dropped =
      droppedBodies === 0 ? '' : `; ${droppedBodies} are gone as the log says, with their file and its key`;
    findings.push(ok('bodies', `${log.bodies} are there and open under their keys${dropped}`));
  }
  if (log.isCheckpointDamaged) {
    findings.push(
      warning(
        'checkpoint',
        'the newest one is damaged; the one before it counts.',
        'The next start writes a new one; look at the disk.',
      ),
    );
  } else {
    findings.push(
      ok('checkpoint', checkpoint === null ? 'there is none yet' : `it stands at line number ${checkpoint}`),
    );
  }
  if (unfinishedBytes > 0) {
    const what = `${unfinishedBytes} bytes follow the last commit`;
    findings.push(
      ok('tail', `${what}: they are being written, or a crash left them and the next start cuts them off`),
    );
  }
  return findings;
}

function span({ from, until }: VerifiedLog): string {
  if (from === null || until === null) return 'none of them with a time';
  return `from ${shown(from)} to ${shown(until)}`;
}

function shown(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
}
