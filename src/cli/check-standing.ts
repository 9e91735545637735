import type { Config } from '../config.ts';
import { RelayError } from '../domain/errors.ts';
import type { RestoredHold } from '../main/upkeep.ts';
import { type Finding, failure, ok, warning } from './finding.ts';

/** What a changed master key or a restore has left to do; nothing where neither was. */
export async function checkStanding(config: Config, folder: string): Promise<readonly Finding[]> {
  const { standingOf } = await import('../main/upkeep.ts');
  try {
    const { isPreviousKeyNeeded, restored } = await standingOf({ config, folder });
    return [...aboutPreviousKey(isPreviousKeyNeeded), ...aboutRestored(restored)];
  } catch (error) {
    // A wrong master key is the store's own check to tell.
    if (!(error instanceof RelayError) || error.code === 'wrong_master_key') return [];
    return [failure('store', error.message, error.hint)];
  }
}

function aboutPreviousKey(isNeeded: boolean | null): readonly Finding[] {
  const check = 'RELAY_MASTER_KEY_PREVIOUS';
  if (isNeeded === null) return [];
  if (isNeeded) return [ok(check, 'the next start seals the data keys by the new key, and needs it once')];
  return [warning(check, 'it is not needed any more.', 'Take it out of the environment, and destroy it.')];
}

function aboutRestored(restored: RestoredHold | null): readonly Finding[] {
  if (restored === null) return [];
  const from = `the log was restored from a backup of ${shown(restored.takenAt)}`;
  if (restored.held === null) {
    return [
      warning(
        'restored',
        `${from}: the first start pauses its subscribers and reads no clinic until they are resumed.`,
        'Make sure that the relay of which the backup was taken does not run; `relay status` then says more.',
      ),
    ];
  }
  const { subscribers, connections } = restored.held;
  return [
    warning(
      'restored',
      `${from}; at its last checkpoint ${subscribers} of its subscribers and ${connections} of its connections were held.`,
      '`relay status` says which are held now, and what to know before you resume them.',
    ),
  ];
}

function shown(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
}
