import type { Command, Option } from 'commander';
import type { SubscriberInput } from '../client/subscribers.ts';
import { fromEnv } from './ask.ts';
import type { Surroundings } from './surroundings.ts';
import { badUsage, listOption, numberOption, rateOption, secondsOption } from './verb.ts';

/** An empty value takes back what was chosen before. */
type TakenBack = '';

export interface FieldOptions {
  readonly name?: string;
  readonly url?: string;
  readonly profile?: string;
  readonly challengeTokenEnv?: string;
  readonly eventTypes?: readonly string[];
  readonly clinicIds?: readonly string[];
  readonly envelope?: string;
  readonly handshake?: string;
  readonly retrySeconds?: readonly number[] | TakenBack;
  readonly concurrency?: number | TakenBack;
  readonly requestsPerSecond?: number | TakenBack;
  readonly order?: string;
  readonly jwt?: boolean;
  readonly thin?: boolean;
  readonly headersEnv?: readonly string[];
}

/** The options for the fields that may be set when a subscriber is added and changed afterwards. */
export function withFields(command: Command): Command {
  return command
    .option('--profile <profile>', 'wire format: fullscript or standard')
    .option('--challenge-token-env <name>', 'environment variable that holds its challenge token')
    .addOption(listOption('--event-types <types>', 'patterns such as order.*,patient.created; "" for all'))
    .addOption(listOption('--clinic-ids <ids>', 'clinic ids or names; "" for all'))
    .option('--envelope <envelope>', 'event, event_payload or both')
    .option('--handshake <when>', 'onRegistration, perEvent or off')
    .addOption(
      orNone(
        secondsOption(
          '--retry-seconds <waits>',
          'waits after the first, second … failure, 5,300; "" for its profile’s',
        ),
      ),
    )
    .addOption(
      orNone(
        numberOption('--concurrency <n>', 'requests at once; "" for the configured number', {
          min: 1,
          max: 1000,
        }),
      ),
    )
    .addOption(
      orNone(rateOption('--requests-per-second <n>', 'at most, 0.01 to 1000; "" for as many as come')),
    )
    .option('--order <order>', 'perClinic: one after the other, as recorded; "" for none')
    .option('--jwt', 'sign a token over each body as well (relay-signature)')
    .option('--no-jwt', 'send no such tokens')
    .option('--thin', 'send ids only, nothing of a patient’s')
    .option('--no-thin', 'send whole events')
    .addOption(
      listOption(
        '--headers-env <pairs>',
        'headers on every request, each with the environment variable that holds its value: Authorization=EHR_AUTH; "" for none',
      ),
    );
}

function orNone(option: Option): Option {
  const read = option.parseArg as (text: string, previous: unknown) => unknown;
  return option.argParser((text, previous) => (text === '' ? text : read(text, previous)));
}

/** The fields that were given, as the API names them. */
export function fieldsOf(options: FieldOptions, env: Surroundings['env']): SubscriberInput {
  const { name, url, profile, eventTypes, clinicIds, envelope, handshake, retrySeconds } = options;
  const { concurrency, requestsPerSecond, order, jwt, thin, headersEnv } = options;
  const challengeToken =
    options.challengeTokenEnv === undefined
      ? undefined
      : fromEnv(env, options.challengeTokenEnv, '--challenge-token-env');
  return {
    name,
    url,
    profile,
    challengeToken,
    eventTypes,
    clinicIds,
    envelope,
    handshake,
    retrySeconds: retrySeconds === '' ? null : retrySeconds,
    concurrency: concurrency === '' ? null : concurrency,
    requestsPerSecond: requestsPerSecond === '' ? null : requestsPerSecond,
    order: order === '' ? null : order,
    jwt,
    thin,
    headers: headersEnv && headersFrom(headersEnv, env),
  };
}

/** The values come from the environment: an argument is seen by everybody on the machine. */
function headersFrom(pairs: readonly string[], env: Surroundings['env']): Readonly<Record<string, string>> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [name = '', variable = ''] = pair.split('=');
      if (name === '' || variable === '') {
        throw badUsage(
          `--headers-env: ${pair} is not a header and the variable that holds its value.`,
          'Write --headers-env Authorization=EHR_AUTH,X-Tenant=EHR_TENANT',
        );
      }
      return [name, fromEnv(env, variable, '--headers-env')] as const;
    }),
  );
}
