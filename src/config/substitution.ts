import type { Problem } from '../domain/errors.ts';

/** Where the values come from that a file names instead of holding them. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The text of a file. @throws when there is none */
  readonly readFile: (path: string) => string;
}

/**
 * Puts in what `${NAME}` (an environment variable) and `${file:/path}` (a file, without
 * the line break at its end) stand for, in every string of a document. An empty variable
 * counts as none.
 */
export function substituted(
  document: unknown,
  surroundings: Surroundings,
): { readonly value: unknown; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];

  const fill = (value: unknown, path: string): unknown => {
    if (typeof value === 'string') {
      return value.replace(/\$\{([^}]*)\}/g, (_, name: string) => {
        const found = lookUp(name, surroundings);
        if ('text' in found) return found.text;
        problems.push({ path, message: found.problem });
        return '';
      });
    }
    if (Array.isArray(value)) return value.map((item, index) => fill(item, `${path}[${index}]`));
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, fill(item, path === '' ? key : `${path}.${key}`)]),
    );
  };

  return { value: fill(document, ''), problems };
}

function lookUp(
  name: string,
  { env, readFile }: Surroundings,
): { readonly text: string } | { readonly problem: string } {
  if (name.startsWith('file:')) {
    const path = name.slice('file:'.length);
    try {
      return { text: readFile(path).replace(/\r?\n$/, '') };
    } catch {
      return { problem: `the file ${path} cannot be read` };
    }
  }
  const text = env[name];
  if (text) return { text };
  return { problem: `the environment variable ${name} is not set; \`relay init\` writes a .env` };
}
