import { z } from 'zod';
import type { Problem } from './errors.ts';

/**
 * What is wrong with an input, mistake by mistake, in words for whoever wrote it. No
 * value is repeated: it may be a secret.
 *
 * @param error of a `safeParse` that was given `inputWords`.
 * @param schema what the input was held to; an unknown name gets the nearest known one from it.
 */
export function problemsOf(error: z.ZodError, schema: z.ZodType): readonly Problem[] {
  return error.issues.flatMap((issue) => {
    const path = pathText(issue.path);
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => {
        const near = nearest(key, knownKeys(schema, issue.path));
        const message = `is not known${near === null ? '' : `; did you mean ${near}?`}`;
        return { path: pathText([...issue.path, key]), message };
      });
    }
    // A key of a record that is none: why, only its own issues say.
    const message = issue.code === 'invalid_key' ? issue.issues[0]?.message : undefined;
    return [{ path, message: message ?? issue.message }];
  });
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text === '' ? String(key) : `${text}.${String(key)}`;
  }, '');
}

/** The keys of the object at a path of the schema. */
function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): readonly string[] {
  let at: JsonSchema | undefined = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
  }) as JsonSchema;
  for (const key of path) at = typeof key === 'number' ? at?.items : at?.properties?.[String(key)];
  const parts = [at, ...(at?.allOf ?? [])];
  return parts.flatMap((part) => Object.keys(part?.properties ?? {}));
}

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly allOf?: readonly JsonSchema[];
}

/** The most similar name, if one is similar at all. */
function nearest(name: string, known: readonly string[]): string | null {
  // Longer ones are nobody's slip of the pen, and comparing them costs time.
  if (name.length > 64) return null;
  let best: { name: string; distance: number } | null = null;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (best === null || distance < best.distance) best = { name: candidate, distance };
  }
  return best !== null && best.distance <= Math.max(2, name.length / 3) ? best.name : null;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(same, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
