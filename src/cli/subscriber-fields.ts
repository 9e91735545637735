import type { Command } from 'commander';
import type { SubscriberInput } from '../client/views.ts';
import { fromEnv } from './ask.ts';
import type { Surroundings } from './surroundings.ts';
import { listOption, numberOption, secondsOption } from './verb.ts';

export interface FieldOptions {
  readonly name?: string;
  readonly url?: string;
  readonly profile?: string;
  readonly challengeTokenEnv?: string;
  readonly eventTypes?: readonly string[];
  readonly clinicIds?: readonly string[];
  readonly envelope?: string;
  readonly handshake?: string;
  readonly retrySeconds?: readonly number[];
  readonly concurrency?: number;
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
    .addOption(secondsOption('--retry-seconds <waits>', 'waits after the first, second … failure, 5,300'))
    .addOption(numberOption('--concurrency <n>', 'requests at once', { min: 1, max: 10_000 }));
}

/** The fields that were given, as the API names them. */
export function fieldsOf(options: FieldOptions, env: Surroundings['env']): SubscriberInput {
  const { name, url, profile, eventTypes, clinicIds, envelope, handshake, retrySeconds, concurrency } =
    options;
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
    retrySeconds,
    concurrency,
  };
}
