import { randomUUID } from 'node:crypto';
import {
  latenessAfter,
  type SetAside,
  type Stream,
  type StreamKey,
  setAsideIsFinal,
} from '../../domain/clinic.ts';
import { ClaimLost, NotFound } from '../../domain/errors.ts';
import type { PollClaim, PollEnd, PollStore } from '../store.ts';
import type { Core } from './core.ts';
import { eventKey } from './kinds.ts';
import { Leases } from './leases.ts';
import { bodiesElsewhere, isUnread, recordEvent, resolveSetAsides } from './recording.ts';
import { streamKey } from './state.ts';

export function pollPart(core: Core): PollStore {
  const { commits, clock } = core;
  const polls = new Leases(clock);
  /** By stream: when the claim was given, see `State.sweeps`. */
  const began = new Map<string, number>();
  const seconds = () => Math.floor(clock.monotonic() / 1_000) + 1;

  const held = ({ stream, claimId }: PollClaim): void => {
    if (!polls.isHeld(streamKey(stream), claimId)) {
      throw new ClaimLost(`the poll of ${stream.category} of clinic ${stream.clinicId}`);
    }
  };

  return {
    follow: (clinicId, streams) =>
      commits.commit(({ state, record }) => {
        for (const { category, startAt } of streams) {
          if (state.streams.has(streamKey({ clinicId, category }))) continue;
          record({ t: 'stream', row: newStream({ clinicId, category }, startAt, clock.now()) });
        }
      }),

    streams: () => commits.read((state) => [...state.streams.values()]),

    claimPolls: ({ streams, leaseMs }) =>
      commits.read((state) => {
        // What a poll reads could not be recorded.
        commits.assertWritable();
        const claims: PollClaim[] = [];
        for (const key of streams) {
          const stream = state.streams.get(streamKey(key));
          const claimId = stream && polls.take(streamKey(key), randomUUID(), leaseMs);
          if (!stream || !claimId) continue;
          claims.push({ claimId, stream });
          began.set(streamKey(key), seconds());
        }
        return claims;
      }),

    unseen: (clinicId, eventIds) =>
      commits.read((state) =>
        [...new Set(eventIds)].filter((id) => {
          const number = state.events.numberOf(eventKey(clinicId, id));
          if (number !== null) state.listed.set(number, seconds());
          return number === null;
        }),
      ),

    recordEvents: async (claim, { events, subscribersVersion }) => {
      const { clinicId, category } = claim.stream;
      for (;;) {
        const known = await bodiesElsewhere(core, clinicId, events);
        const answer = await commits.commit((decision) => {
          held(claim);
          const { state } = decision;
          if (state.subscribersVersion !== subscribersVersion) return { kind: 'subscribersChanged' } as const;
          // Another clinic has recorded one of them since: its body is looked at first.
          if (events.some((event) => isUnread(state, clinicId, event, known))) return null;
          let recorded = 0;
          let added = 0;
          let deliveries = 0;
          for (const event of events) {
            if (state.events.has(eventKey(clinicId, event.id))) continue;
            recorded++;
            if (!event.isPast) added++;
            const seen = { clinicId, category, now: clock.now() };
            // The sweep that brings an event has listed it.
            state.listed.set(state.events.end, seconds());
            deliveries += recordEvent(decision, event, seen, known.get(event.id));
          }
          const stream = state.streams.get(streamKey(claim.stream));
          if (stream && added > 0) {
            decision.record({ t: 'stream', row: { ...stream, recorded: stream.recorded + added } });
          }
          resolveSetAsides(decision, claim.stream, events, clock.now());
          const differing = events.filter((event) => {
            const body = known.get(event.id)?.body ?? null;
            return body !== null && event.body !== null && body !== event.body;
          });
          return {
            kind: 'recorded',
            events: recorded,
            deliveries,
            differing: differing.map((event) => event.id),
          } as const;
        });
        if (answer !== null) return answer;
      }
    },

    setAside: (claim, item) =>
      commits.commit(({ state, record }) => {
        held(claim);
        const { clinicId, category } = claim.stream;
        const before = state.setAsides.get(`${streamKey(claim.stream)}${item.key}`);
        const now = clock.now();
        const tried = {
          clinicId,
          category,
          ...item,
          firstTriedAt: before?.firstTriedAt ?? now,
          lastTriedAt: now,
          tries: (before?.tries ?? 0) + 1,
          resolvedAt: null,
        };
        const row: SetAside = { ...tried, isFinal: setAsideIsFinal(tried) };
        record({ t: 'setAside', row });
        return row;
      }),

    setAsides: (filter) =>
      commits.read((state) =>
        [...state.setAsides.values()].filter((item) => filter?.includeResolved || item.resolvedAt === null),
      ),

    renewPoll: async (claim, leaseMs) => {
      held(claim);
      polls.extend(streamKey(claim.stream), claim.claimId, leaseMs);
    },

    endPoll: (claim, end) =>
      commits
        .commit(({ state, record }) => {
          held(claim);
          const before = state.streams.get(streamKey(claim.stream));
          if (!before) throw new NotFound('stream', claim.stream.category);
          const row = afterPoll(before, end, clock.now());
          record({ t: 'stream', row });
          return row;
        })
        .then(async (stream) => {
          const key = streamKey(stream);
          polls.end(key, claim.claimId);
          if (end.kind === 'completed' && end.isSweep) {
            await commits.read((state) => state.sweeps.set(key, began.get(key) ?? 0));
          }
          return stream;
        }),

    pollSoon: (clinicId, category) =>
      commits.commit(({ state, record }) => {
        const now = clock.now();
        for (const stream of [...state.streams.values()]) {
          if (stream.clinicId !== clinicId || (category !== undefined && stream.category !== category))
            continue;
          if (stream.nextPollAt > now) record({ t: 'stream', row: { ...stream, nextPollAt: now } });
        }
      }),
  };
}

function newStream(key: StreamKey, startAt: number, now: number): Stream {
  return {
    ...key,
    startAt,
    cursor: null,
    polledAt: null,
    sweptAt: null,
    nextPollAt: now,
    failedInRow: 0,
    problem: null,
    isOff: false,
    recorded: 0,
    newestEventAt: null,
  };
}

function afterPoll(stream: Stream, end: PollEnd, now: number): Stream {
  switch (end.kind) {
    case 'completed': {
      // Of a moment to come only a clock that was ahead has spoken.
      const { lateness: late, cursor: before, ...kept } = stream;
      const lateness = latenessAfter(late, end.lateMs ?? 0, now);
      return {
        ...kept,
        ...(lateness && { lateness }),
        ...(end.gap && { gap: end.gap }),
        cursor: Math.max(end.cursor, before === null || before > now ? 0 : before),
        polledAt: now,
        sweptAt: end.isSweep ? now : stream.sweptAt,
        nextPollAt: end.nextPollAt,
        failedInRow: 0,
        problem: null,
        isOff: false,
        newestEventAt: Math.max(end.newestEventAt ?? 0, stream.newestEventAt ?? 0) || null,
      };
    }
    case 'failed':
      return {
        ...stream,
        nextPollAt: end.nextPollAt,
        failedInRow: stream.failedInRow + 1,
        problem: end.problem,
      };
    case 'off':
      return { ...stream, nextPollAt: end.nextPollAt, problem: end.problem, isOff: true };
  }
}
