import type { z } from 'zod';
import type { EventDraft } from './event-maker.ts';
import type { ListPage } from './list-page.ts';
import type { Reply } from './reply.ts';

export const operations = ['token', 'revoke', 'clinic', 'list', 'retrieve', 'make'] as const;

/** What is going on when a fault may strike; `make` is the making of an event. */
export type Operation = (typeof operations)[number];

/** What a fault can be limited to, and what it may look at. `null`: not known, or there is none. */
export interface Moment {
  readonly operation: Operation;
  readonly clinicId: string | null;
  /** For events that are shown to the wrong clinic. */
  readonly otherClinicId: string;
  readonly category: string | null;
  readonly eventId: string | null;
  readonly now: number;
}

/**
 * One way to go wrong. It strikes only at its `operations`, through the functions it
 * has; one without functions is a switch that the model asks for by its name.
 */
export interface FaultKind<Settings> {
  /** One sentence, for the table of the README. */
  readonly about: string;
  readonly operations: readonly Operation[];
  readonly settings: z.ZodType<Settings>;
  /** Answers in place of the vendor, who then does nothing; `null` lets the request pass. */
  instead?(settings: Settings, moment: Moment): Reply | null;
  /** Changes an event before it is written; `null` when there is nothing to change. */
  draft?(draft: EventDraft, settings: Settings, moment: Moment): EventDraft | null;
  /** Changes a page of a list; `null` when there is nothing to change. */
  page?(page: ListPage, settings: Settings, moment: Moment): ListPage | null;
  /** The whole body that answers a retrieval, in place of `{"event":…}`. */
  wrap?(eventText: string, settings: Settings): string;
  /** Changes the finished answer, when the vendor has done its work already. */
  reply?(reply: Reply, settings: Settings, moment: Moment): Reply | null;
}

/** Lets the functions of a kind see the type of its settings. */
export function define<Settings>(kind: FaultKind<Settings>): FaultKind<Settings> {
  return kind;
}
