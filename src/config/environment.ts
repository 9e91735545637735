import type { Problem } from '../domain/errors.ts';

export type Env = Readonly<Record<string, string | undefined>>;

/** What of the environment the relay cannot run in. */
export function environmentProblems(env: Env, store: { readonly kind: string }): readonly Problem[] {
  const problems: Problem[] = [];
  if (present(env.DYNO) && store.kind === 'file') {
    problems.push({
      path: 'store.kind',
      message:
        'is "file", and the disk of a Heroku dyno is lost at every restart; run the relay where its disk stays (a server, a container with a volume)',
    });
  }
  if (present(env.PORT) && !isPort(env.PORT)) {
    problems.push({ path: 'PORT', message: 'is set and is no port from 1 to 65535' });
  }
  return problems;
}

/** The port that the platform chose; `null` when it chose none. */
export function givenPort(env: Env): number | null {
  return present(env.PORT) ? Number(env.PORT) : null;
}

function isPort(text: string): boolean {
  return /^[1-9][0-9]{0,4}$/.test(text) && Number(text) <= 65_535;
}

function present(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}
