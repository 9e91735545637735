/** A request's headers as Node, Express, `fetch` or a cloud function give them; the spelling of names does not matter. */
export type RequestHeaders =
  | Readonly<Record<string, string | readonly string[] | undefined>>
  | { get(name: string): string | null };

export interface HeaderFields {
  /** `null` when it is absent, came more than once, or is no text. */
  one(name: string): string | null;
  isPresent(name: string): boolean;
}

/** Reads whatever was handed in and never throws: who leaves the headers out sent none. */
export function headerFields(headers: RequestHeaders | undefined): HeaderFields {
  const valuesOf = (name: string) =>
    isFetchHeaders(headers) ? fetched(headers, name) : listed(headers, name);
  return {
    one(name) {
      const [value, ...more] = valuesOf(name);
      return typeof value === 'string' && more.length === 0 ? value : null;
    },
    isPresent: (name) => valuesOf(name).length > 0,
  };
}

function isFetchHeaders(
  headers: RequestHeaders | undefined,
): headers is { get(name: string): string | null } {
  return typeof headers === 'object' && headers !== null && typeof headers.get === 'function';
}

function fetched(headers: { get(name: string): string | null }, name: string): readonly unknown[] {
  const value = headers.get(name);
  return typeof value === 'string' ? [value] : [];
}

function listed(headers: unknown, name: string): readonly unknown[] {
  return Object.entries(headers ?? {})
    .filter(([spelt, value]) => spelt.toLowerCase() === name && value !== undefined)
    .flatMap(([, value]) => value);
}

/** A counter of the relay's, from 1 up; `null` when there is none that can be read. */
export function countIn(text: string | null): number | null {
  return text !== null && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : null;
}
