import { z } from 'zod';
import { InvalidInput, NotFound } from '../domain/errors.ts';
import { categories } from './event-log.ts';
import type { EventDraft } from './event-maker.ts';
import { type FaultKind, type Moment, type Operation, operations } from './fault-kind.ts';
import { type FaultName, faultKinds, type SettingsOf } from './fault-kinds.ts';
import type { ListPage } from './list-page.ts';
import type { Reply } from './reply.ts';

/** A fault that is switched on. */
export interface Fault {
  readonly id: string;
  readonly name: FaultName;
  /** How often it still strikes; `null`: until it is switched off. */
  readonly times: number | null;
  readonly clinicId: string | null;
  readonly category: string | null;
  readonly operation: Operation | null;
  readonly eventId: string | null;
  readonly settings: Readonly<Record<string, unknown>>;
}

const askShape = z.looseObject({
  name: z.string(),
  times: z.int().min(1).nullable().default(null),
  clinic: z.string().nullable().default(null),
  category: z.enum(categories).nullable().default(null),
  operation: z.enum(operations).nullable().default(null),
  eventId: z.string().nullable().default(null),
});

/** A name, a scope, and the settings of its kind beside them. */
export type FaultAsk = { readonly name: FaultName } & Partial<{
  readonly times: number | null;
  /** Id or name. */
  readonly clinic: string | null;
  readonly category: string | null;
  readonly operation: Operation | null;
  readonly eventId: string | null;
}> &
  Readonly<Record<string, unknown>>;

/** The switches. The oldest fault strikes first. */
export class Faults {
  readonly #clinicIdOf: (idOrName: string) => string;
  #on: Fault[] = [];
  #made = 0;

  /** @param clinicIdOf throws NotFound for clinics that are not there. */
  constructor(clinicIdOf: (idOrName: string) => string) {
    this.#clinicIdOf = clinicIdOf;
  }

  /** @throws InvalidInput `fault_invalid` naming every mistake; NotFound for an unknown clinic */
  switchOn(ask: FaultAsk | unknown): Fault {
    const head = askShape.safeParse(ask);
    if (!head.success) throw faultInvalid(head.error);
    const { name, times, clinic, category, operation, eventId, ...rest } = head.data;
    if (!isFaultName(name)) {
      throw new InvalidInput('fault_invalid', `There is no fault "${name}".`, {
        hint: `The faults are: ${Object.keys(faultKinds).join(', ')}.`,
        problems: [{ path: 'name', message: 'unknown fault' }],
      });
    }
    const kind = kindOf(name);
    if (operation !== null && !kind.operations.includes(operation)) {
      throw new InvalidInput('fault_invalid', `"${name}" cannot strike at "${operation}".`, {
        hint: `It strikes at: ${kind.operations.join(', ')}.`,
        problems: [{ path: 'operation', message: 'not for this fault' }],
      });
    }
    const settings = kind.settings.safeParse(rest);
    if (!settings.success) throw faultInvalid(settings.error);
    this.#made += 1;
    const fault: Fault = {
      id: `fault-${this.#made}`,
      name,
      times,
      clinicId: clinic === null ? null : this.#clinicIdOf(clinic),
      category,
      operation,
      eventId,
      settings: settings.data as Record<string, unknown>,
    };
    this.#on.push(fault);
    return fault;
  }

  /** @throws NotFound */
  switchOff(faultId: string): void {
    if (!this.#on.some((fault) => fault.id === faultId)) throw new NotFound('fault', faultId);
    this.#on = this.#on.filter((fault) => fault.id !== faultId);
  }

  switchAllOff(): void {
    this.#on = [];
  }

  list(): readonly Fault[] {
    return [...this.#on];
  }

  /** Counts one stroke of a switch; `null` when it is off here. */
  take<Name extends FaultName>(name: Name, moment: Moment): SettingsOf<Name> | null {
    const fault = this.#on.find((each) => each.name === name && strikes(each, moment));
    if (fault === undefined) return null;
    this.#count(fault);
    return fault.settings as SettingsOf<Name>;
  }

  /** The first answer in place of the vendor's, or `null`. */
  instead(moment: Moment): Reply | null {
    for (const fault of this.#striking(moment)) {
      const reply = kindOf(fault.name).instead?.(fault.settings, moment) ?? null;
      if (reply === null) continue;
      this.#count(fault);
      return reply;
    }
    return null;
  }

  draft(draft: EventDraft, moment: Moment): EventDraft {
    return this.#change(draft, moment, (kind, settings, now) => kind.draft?.(now, settings, moment));
  }

  page(page: ListPage, moment: Moment): ListPage {
    return this.#change(page, moment, (kind, settings, now) => kind.page?.(now, settings, moment));
  }

  /** The body that answers a retrieval. */
  wrap(eventText: string, moment: Moment): string {
    for (const fault of this.#striking(moment)) {
      const body = kindOf(fault.name).wrap?.(eventText, fault.settings);
      if (body === undefined) continue;
      this.#count(fault);
      return body;
    }
    return `{"event":${eventText}}`;
  }

  reply(reply: Reply, moment: Moment): Reply {
    return this.#change(reply, moment, (kind, settings, now) => kind.reply?.(now, settings, moment));
  }

  #change<T>(
    first: T,
    moment: Moment,
    change: (kind: FaultKind<unknown>, settings: unknown, now: T) => T | null | undefined,
  ): T {
    let now = first;
    for (const fault of this.#striking(moment)) {
      const changed = change(kindOf(fault.name), fault.settings, now) ?? null;
      if (changed === null) continue;
      this.#count(fault);
      now = changed;
    }
    return now;
  }

  #striking(moment: Moment): readonly Fault[] {
    return this.#on.filter((fault) => strikes(fault, moment));
  }

  #count(fault: Fault): void {
    if (fault.times === null) return;
    const times = fault.times - 1;
    this.#on =
      times === 0
        ? this.#on.filter((each) => each.id !== fault.id)
        : this.#on.map((each) => (each.id === fault.id ? { ...each, times } : each));
  }
}

function strikes(fault: Fault, moment: Moment): boolean {
  return (
    kindOf(fault.name).operations.includes(moment.operation) &&
    (fault.operation === null || fault.operation === moment.operation) &&
    (fault.clinicId === null || fault.clinicId === moment.clinicId) &&
    (fault.category === null || fault.category === moment.category) &&
    (fault.eventId === null || fault.eventId === moment.eventId)
  );
}

function kindOf(name: FaultName): FaultKind<unknown> {
  return faultKinds[name];
}

function isFaultName(name: string): name is FaultName {
  return Object.hasOwn(faultKinds, name);
}

function faultInvalid(error: z.ZodError): InvalidInput {
  const problems = error.issues.map(({ path, message }) => ({ path: path.join('.'), message }));
  return new InvalidInput('fault_invalid', 'The fault cannot be switched on as it is.', {
    hint: problems.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; '),
    problems,
  });
}
