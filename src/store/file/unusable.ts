import { RelayError } from '../../domain/errors.ts';
import { codeOf } from './disk.ts';

/** The store cannot be opened for what the disk says; the hint tells the remedy for that. */
export function unusable(path: string, cause: unknown): RelayError {
  const detail = cause instanceof Error ? cause.message : 'unknown error';
  const { why, hint } = aboutOf(codeOf(cause));
  const because = why === null ? '' : `, because ${why}`;
  return new RelayError(
    'store_unusable',
    `The delivery log in ${path} cannot be opened${because}: ${detail}`,
    {
      hint,
      cause,
    },
  );
}

function aboutOf(code: string | undefined): { readonly why: string | null; readonly hint: string } {
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return {
        why: 'its disk is full',
        hint: 'Free some space, then start the relay again; nothing that was recorded is lost.',
      };
    case 'EROFS':
      return {
        why: 'its disk is read-only',
        hint: 'Mount the disk so that it can be written, or name another folder in `store.path`.',
      };
    case 'EACCES':
    case 'EPERM':
      return {
        why: 'this user may not use it',
        hint: 'The folder and its files must belong to the user that the relay runs as (folders 0700, files 0600).',
      };
    default:
      return { why: null, hint: 'Look at that folder and its disk, then start the relay again.' };
  }
}
