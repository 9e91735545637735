import { StoreCorrupt } from '../../domain/errors.ts';
import type { PushStore } from '../store.ts';
import type { Core } from './core.ts';
import { eventKey, isPushed } from './kinds.ts';
import { pushDaysOf } from './push-days.ts';
import { bodiesElsewhere, isUnread, recordEvent, resolveSetAsides } from './recording.ts';
import { streamKey } from './state.ts';

export function pushPart(core: Core): PushStore {
  const { commits, bodies, coldRows, clock } = core;

  /** The text on record, `null` when there is none that can be read; nothing at all of an unknown event. */
  const bodyHere = async (
    clinicId: string,
    eventId: string,
  ): Promise<{ readonly text: string | null } | null> => {
    const found = await commits.read((state) => {
      const number = state.events.numberOf(eventKey(clinicId, eventId));
      return number === null ? [] : [state.events.at(number)];
    });
    const [row] = await coldRows.rows(found);
    if (row === undefined) return null;
    if (!row.body) return { text: null };
    const record = eventKey(row.bodyOf ?? clinicId, eventId);
    try {
      return { text: String(await bodies.open(row.body, { kind: 'body', record })) };
    } catch (error) {
      if (error instanceof StoreCorrupt) return { text: null };
      throw error;
    }
  };

  return {
    recordPushed: async ({ stream: key, event, subscribersVersion }) => {
      const { clinicId, category } = key;
      for (;;) {
        const known = await bodiesElsewhere(core, clinicId, [event]);
        const polled = await bodyHere(clinicId, event.id);
        const answer = await commits.commit((decision) => {
          const { state, record } = decision;
          if (state.subscribersVersion !== subscribersVersion) return { kind: 'subscribersChanged' } as const;
          const number = state.events.numberOf(eventKey(clinicId, event.id));
          const at = clock.now();
          const push = { clinic: clinicId, event: event.id } as const;
          if (number !== null) {
            // A poll has recorded it since: its text is looked at first.
            if (polled === null) return null;
            if (isPushed(state.events.columns.flags.get(number))) {
              return { kind: 'again', deliveries: 0, differs: false } as const;
            }
            const differs = polled.text !== null && event.body !== null && polled.text !== event.body;
            record({ t: 'pushed', ...push, push: { at, isFirst: false, differs } });
            return { kind: 'later', deliveries: 0, differs } as const;
          }
          if (isUnread(state, clinicId, event, known)) return null;
          const deliveries = recordEvent(
            decision,
            event,
            { clinicId, category, now: at },
            known.get(event.id),
          );
          record({ t: 'pushed', ...push, push: { at, isFirst: true, differs: false } });
          const stream = state.streams.get(streamKey(key));
          if (stream && !event.isPast) {
            record({ t: 'stream', row: { ...stream, recorded: stream.recorded + 1 } });
          }
          resolveSetAsides(decision, key, [event], at);
          return { kind: 'first', deliveries, differs: false } as const;
        });
        if (answer !== null) return answer;
      }
    },

    pushDays: (since) => commits.read((state) => pushDaysOf(state, since)),
  };
}
