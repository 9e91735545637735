/** An event as Fullscript tells it. What its `data` holds depends on the type. */
export interface ReceivedEvent {
  /** Names the event for ever: the same in every copy, attempt and replay. */
  readonly id: string;
  /** `order.placed`; types that nobody has documented yet may come. */
  readonly type?: string;
  /** ISO instant, by Fullscript's clock. */
  readonly created_at?: string;
  readonly clinic_id?: string;
  // biome-ignore lint/suspicious/noExplicitAny: the vendor's payload, of any shape
  readonly data?: any;
  readonly [field: string]: unknown;
}

/**
 * The event at the first of those places of a JSON body that holds one; `null` when the
 * body is not JSON or none does.
 */
export function readEvent(body: Buffer, paths: readonly (readonly string[])[]): ReceivedEvent | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
  return paths.map((path) => path.reduce(member, parsed)).find(isEvent) ?? null;
}

function member(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}

function isEvent(value: unknown): value is ReceivedEvent {
  const id = member(value, 'id');
  return typeof id === 'string' && id !== '';
}
