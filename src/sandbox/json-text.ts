/** A piece of JSON that is written as it stands: `10.0`, or a number that no double can hold. */
export class RawJson {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | RawJson
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

/** Ways of writing the same strings, all of them valid JSON. */
export interface JsonStyle {
  /** Everything outside ASCII becomes `\u00eb`. */
  readonly isAscii: boolean;
  /** `/` becomes `\/`. */
  readonly escapesSlash: boolean;
}

/** Every style that a vendor's encoder might have. */
export const jsonStyles: readonly JsonStyle[] = [
  { isAscii: false, escapesSlash: false },
  { isAscii: true, escapesSlash: false },
  { isAscii: false, escapesSlash: true },
];

/** Compact JSON text; keys in their own order, `__proto__` included. */
export function jsonText(value: JsonValue, style: JsonStyle): string {
  if (value instanceof RawJson) return value.text;
  if (typeof value === 'string') return stringText(value, style);
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (isList(value)) return `[${value.map((item) => jsonText(item, style)).join(',')}]`;
  const members = Object.entries(value).map(
    ([key, member]) => `${stringText(key, style)}:${jsonText(member, style)}`,
  );
  return `{${members.join(',')}}`;
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function stringText(text: string, style: JsonStyle): string {
  let written = JSON.stringify(text);
  if (style.isAscii) {
    written = written.replace(/[\u0080-\uffff]/g, (unit) => {
      return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
    });
  }
  return style.escapesSlash ? written.replaceAll('/', '\\/') : written;
}
