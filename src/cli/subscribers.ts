import type { Command } from 'commander';
import type { SubscriberView } from '../client/subscribers.ts';
import * as api from '../client/subscribers.ts';
import { RelayError } from '../domain/errors.ts';
import { confirm } from './ask.ts';
import { addDoctor } from './doctor.ts';
import { shownInstant } from './instant.ts';
import { subscriberIdOf } from './named.ts';
import { type Colour, inert, type Printer, printWarnings } from './print.ts';
import { addRotateSecret } from './rotate-secret.ts';
import { openSession } from './session.ts';
import { type FieldOptions, fieldsOf, withFields } from './subscriber-fields.ts';
import { stateLine, stateOf } from './subscriber-state.ts';
import { addAddSubscriber } from './subscribers-add.ts';
import { addBackfillSubscriber } from './subscribers-backfill.ts';
import { addResumeSubscriber } from './subscribers-resume.ts';
import type { Surroundings } from './surroundings.ts';
import { printTable } from './table.ts';
import { badUsage, type CommonOptions, verb } from './verb.ts';

interface UpdateOptions extends FieldOptions, CommonOptions {
  readonly removeChallengeToken?: true;
}

export function addSubscribers(program: Command, around: Surroundings): void {
  const group = program.command('subscribers').description('who receives events');
  const subscriber = '<subscriber>';

  verb(group, 'list', 'list subscribers and their states').action(async (options: CommonOptions) => {
    const { call, to, asJson } = openSession(around, options);
    const subscribers = await api.listSubscribers(call);
    if (asJson) return to.json({ data: subscribers });
    if (subscribers.length === 0) return to.note('There are no subscribers yet: `relay subscribers add`.');
    printTable(to, columns, subscribers);
  });

  addAddSubscriber(group, around);

  verb(group, `show ${subscriber}`, 'show one, by its id or name').action(
    async (idOrName: string, options: CommonOptions) => {
      const { call, to, asJson } = openSession(around, options);
      const shown = await api.showSubscriber(call, await subscriberIdOf(call, idOrName));
      if (asJson) return to.json(shown);
      printFields(to, shown);
    },
  );

  const update = verb(group, `update ${subscriber}`, 'change fields of one')
    .option('--name <name>', 'its new name')
    .option('--url <url>', 'its new endpoint')
    .option('--remove-challenge-token', 'ask it for none any more');
  withFields(update).action(async (idOrName: string, options: UpdateOptions) => {
    const { call, to, asJson, env } = openSession(around, options);
    const fields = fieldsOf(options, env);
    if (options.removeChallengeToken && fields.challengeToken !== undefined) {
      throw badUsage('The challenge token is given and taken away.', 'Choose one of them.');
    }
    const change = options.removeChallengeToken ? { ...fields, challengeToken: null } : fields;
    if (Object.values(change).every((value) => value === undefined)) {
      throw badUsage('Nothing to change was given.', 'See `relay subscribers update --help`.');
    }
    const changed = await api.updateSubscriber(call, await subscriberIdOf(call, idOrName), change);
    if (asJson) return to.json(changed);
    printFields(to, changed);
    printWarnings(to, changed.warnings);
  });

  verb(group, `remove ${subscriber}`, 'delete one; its open deliveries are cancelled for good')
    .option('--yes', 'do not ask')
    .action(async (idOrName: string, options: CommonOptions & { yes?: true }) => {
      const { call, to, asJson } = openSession(around, options);
      const id = await subscriberIdOf(call, idOrName);
      await confirm(
        around,
        `Delete ${inert(idOrName)} and cancel its open deliveries?`,
        options.yes === true,
      );
      await api.removeSubscriber(call, id);
      if (asJson) return to.json({ id, removed: true });
      to.out(`Removed ${inert(idOrName)}.`);
    });

  verb(group, `pause ${subscriber}`, 'stop sending to one; what comes is held').action(
    async (idOrName: string, options: CommonOptions) => {
      const { call, to, asJson } = openSession(around, options);
      const paused = await api.pauseSubscriber(call, await subscriberIdOf(call, idOrName));
      if (asJson) return to.json(paused);
      to.out(stateLine(paused));
    },
  );

  addResumeSubscriber(group, around);
  addBackfillSubscriber(group, around);

  verb(group, `test ${subscriber}`, 'send it a sample event that is no delivery; lifts an owed handshake')
    .option('--type <type>', 'type of the sample event, such as order.placed')
    .action(async (idOrName: string, options: CommonOptions & { type?: string }) => {
      const { call, to, asJson } = openSession(around, options);
      const tested = await api.testSubscriber(call, await subscriberIdOf(call, idOrName), options.type);
      if (asJson) to.json(tested);
      else if (tested.passed) to.out(inert(`${idOrName} took it: ${tested.outcome}.`));
      if (tested.passed) return;
      throw new RelayError(
        'test_failed',
        `${idOrName} did not take it: ${tested.outcome.replace(/\.$/, '')}.`,
        {
          hint: tested.hint ?? 'Look at its log, repair it, and test it again.',
        },
      );
    });

  addDoctor(group, around);
  addRotateSecret(group, around);
}

const colourOf: Readonly<Record<string, Colour>> = { active: 'green', failing: 'red', paused: 'yellow' };

const columns = [
  { title: 'ID', text: ({ id }: SubscriberView) => id, isWhole: true },
  { title: 'NAME', text: ({ name }: SubscriberView) => name },
  {
    title: 'STATE',
    text: stateOf,
    colour: ({ state }: SubscriberView) => colourOf[state] ?? null,
  },
  { title: 'URL', text: ({ url }: SubscriberView) => url },
];

function printFields(to: Printer, subscriber: SubscriberView): void {
  const { id, name, url, profile, eventTypes, clinicIds, isDeclared, createdAt } = subscriber;
  const { retrySeconds, concurrency, requestsPerSecond, order, envelope, thin, headerNames, owner } =
    subscriber;
  const lines: readonly (readonly [string, string])[] = [
    ['id', id],
    ['name', isDeclared ? `${name} (declared in the configuration)` : name],
    ['url', url],
    ['owner', owner ?? 'the operator'],
    ['profile', profile],
    ['sends', thin ? 'ids only' : profile === 'fullscript' ? `whole events, as ${envelope}` : 'whole events'],
    ['headers', headerNames.join(', ') || 'none of its own'],
    ['state', stateOf(subscriber)],
    ['events', eventTypes.join(', ') || 'all types'],
    ['clinics', clinicIds.join(', ') || 'all clinics'],
    ['retries', retrySeconds === null ? 'as its profile has them' : `after ${retrySeconds.join(', ')} s`],
    ['at once', concurrency === null ? 'as configured' : String(concurrency)],
    ['rate', requestsPerSecond === null ? 'as many as come' : `${requestsPerSecond} requests a second`],
    ['order', order === null ? 'none promised' : 'one after the other, clinic by clinic'],
    [
      'signs as',
      [subscriber.signature, ...subscriber.publicKeys, ...(subscriber.jwt ? ['and a token'] : [])].join(', '),
    ],
    ['answers', subscriber.hasChallengeToken ? 'its challenge token' : 'any 2xx: it has no challenge token'],
    ['success', shownInstant(subscriber.lastSuccessAt)],
    ['failure', shownInstant(subscriber.lastFailureAt)],
    ['created', shownInstant(createdAt)],
  ];
  for (const [label, value] of lines) to.out(`${label.padEnd(9)}${inert(value)}`);
}
