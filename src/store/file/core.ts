import type { Clock } from '../../clock.ts';
import type { Bodies } from './bodies.ts';
import type { ColdRows } from './cold-rows.ts';
import type { Commits } from './commits.ts';
import type { Codec } from './rows.ts';

/** What the parts of the file store share. */
export interface Core {
  readonly commits: Commits;
  readonly bodies: Bodies;
  readonly coldRows: ColdRows;
  readonly codec: Codec;
  readonly clock: Clock;
  /** In [0, 1): the jitter of waits that no caller hands in. */
  readonly random: () => number;
}
