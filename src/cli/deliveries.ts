import { type Command, Option } from 'commander';
import type { AttemptView, DeliveryView } from '../client/deliveries.ts';
import * as api from '../client/deliveries.ts';
import { shownInstant } from './instant.ts';
import { clinicIdOf, subscriberIdOf, subscriberNames } from './named.ts';
import { type Colour, inert } from './print.ts';
import { openSession } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { type Column, printTable } from './table.ts';
import { badUsage, type CommonOptions, checkWindow, instantOption, numberOption, verb } from './verb.ts';

interface ListOptions extends CommonOptions {
  readonly state?: string;
  readonly subscriber?: string;
  readonly clinic?: string;
  readonly eventType?: string;
  readonly event?: string;
  readonly since?: string;
  readonly until?: string;
  readonly limit: number;
  readonly cursor?: string;
}

interface ExplainOptions extends CommonOptions {
  readonly event?: string;
  readonly subscriber?: string;
}

const states = ['pending', 'held', 'delivered', 'failed', 'cancelled'];

export function addDeliveries(program: Command, around: Surroundings): void {
  const group = program.command('deliveries').description('what was sent, what was not, and why');

  verb(group, 'list', 'list deliveries, newest first')
    .addOption(new Option('--state <state>', 'only those in this state').choices(states))
    .option('--subscriber <subscriber>', 'only this subscriber’s, by its id or name')
    .option('--clinic <clinic>', 'only this clinic’s, by its id or name')
    .option('--event-type <type>', 'only this type of event')
    .option('--event <id>', 'only this event')
    .addOption(instantOption('--since <when>', 'made at or after', around.clock.now))
    .addOption(instantOption('--until <when>', 'made before', around.clock.now))
    .addOption(numberOption('--limit <n>', 'how many at most', { min: 1, max: 1000 }).default(50))
    .option('--cursor <cursor>', 'go on where the page before ended')
    .action(async (options: ListOptions) => {
      checkWindow(options);
      const { call, to, asJson } = openSession(around, options);
      const { state, eventType, event, since, until, limit, cursor } = options;
      const page = await api.listDeliveries(call, {
        ...(await subjectsOf(call, options)),
        state,
        eventType,
        eventId: event,
        since,
        until,
        limit,
        cursor,
      });
      if (asJson) return to.json(page);
      if (page.data.length === 0) return to.note(isNarrowed(options) ? noneSuch : noneYet);
      printTable(to, columnsOf(await subscriberNames(call)), page.data);
      if (page.nextCursor !== null) to.note(`There are more: --cursor ${inert(page.nextCursor)}`);
    });

  verb(group, 'show <id>', 'show one with its attempts').action(
    async (id: string, options: CommonOptions) => {
      const { call, to, asJson } = openSession(around, options);
      const delivery = await api.showDelivery(call, id);
      if (asJson) return to.json(delivery);
      printTable(to, columnsOf(await subscriberNames(call)), [delivery]);
      to.out('');
      if (delivery.attempts.length === 0) return to.out('No attempt was made yet.');
      printTable(to, attemptColumns, delivery.attempts);
    },
  );

  verb(group, 'explain [id]', 'say in one line why one has not arrived, or when it did')
    .option('--event <id>', 'an event, in place of a delivery')
    .option('--subscriber <subscriber>', 'the subscriber that misses the event')
    .action(async (id: string | undefined, options: ExplainOptions) => {
      const { event, subscriber } = options;
      const isByEvent = event !== undefined && subscriber !== undefined;
      if ((id === undefined) !== isByEvent || (id !== undefined && (event ?? subscriber) !== undefined)) {
        throw badUsage(
          'It is not clear what to explain.',
          'Give a delivery’s id, or --event and --subscriber together.',
        );
      }
      const { call, to, asJson } = openSession(around, options);
      const explained =
        id === undefined
          ? await api.explainEvent(call, event ?? '', await subscriberIdOf(call, subscriber ?? ''))
          : await api.explainDelivery(call, id);
      if (asJson) return to.json(explained);
      to.out(inert(explained.explanation));
    });
}

const noneSuch = 'There are no such deliveries.';
const noneYet =
  'There are no deliveries yet: one is made when the relay records an event that a subscriber wants. `relay status` says how far it is.';

function isNarrowed({ state, subscriber, clinic, eventType, event, since, until, cursor }: ListOptions) {
  return [state, subscriber, clinic, eventType, event, since, until, cursor].some(
    (option) => option !== undefined,
  );
}

/** The ids of the subscriber and the clinic that options name. */
export async function subjectsOf(
  call: Parameters<typeof subscriberIdOf>[0],
  { subscriber, clinic }: { readonly subscriber?: string; readonly clinic?: string },
): Promise<{ subscriberId?: string; clinicId?: string }> {
  return {
    ...(subscriber === undefined ? {} : { subscriberId: await subscriberIdOf(call, subscriber) }),
    ...(clinic === undefined ? {} : { clinicId: await clinicIdOf(call, clinic) }),
  };
}

const colourOf: Readonly<Record<string, Colour>> = {
  delivered: 'green',
  failed: 'red',
  held: 'yellow',
  cancelled: 'gray',
};

const columnsOf = (names: ReadonlyMap<string, string>): readonly Column<DeliveryView>[] => [
  { title: 'ID', text: ({ id }) => id, isWhole: true },
  {
    title: 'STATE',
    text: ({ state }) => state,
    isWhole: true,
    colour: ({ state }) => colourOf[state] ?? null,
  },
  { title: 'EVENT', text: ({ eventType }) => eventType },
  { title: 'LAST', text: ({ lastOutcome }) => lastOutcome ?? '-' },
  {
    title: 'SUBSCRIBER',
    text: ({ subscriberId }) => names.get(subscriberId) ?? subscriberId,
    isOptional: true,
  },
  { title: 'TRIES', text: ({ attemptCount }) => String(attemptCount), isOptional: true },
  { title: 'MADE', text: ({ createdAt }) => shownInstant(createdAt), isWhole: true, isOptional: true },
];

const attemptColumns = [
  { title: '#', text: ({ number }: AttemptView) => String(number) },
  { title: 'STARTED', text: ({ startedAt }: AttemptView) => shownInstant(startedAt), isWhole: true },
  { title: 'TOOK', text: ({ durationMs }: AttemptView) => `${Math.round(durationMs)} ms` },
  {
    title: 'OUTCOME',
    text: ({ outcome, isProbe, isLate }: AttemptView) =>
      `${outcome}${isProbe ? ' (probe)' : ''}${isLate ? ' (late)' : ''}`,
  },
  { title: 'ANSWER', text: ({ excerpt }: AttemptView) => excerpt ?? '-' },
];
