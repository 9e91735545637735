import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../config.ts';
import { RelayError } from '../domain/errors.ts';
import { filterWarnings } from '../domain/filter-warnings.ts';
import { checkLog } from './check-log.ts';
import { checkAddress, checkProxy, checkVendor } from './check-reach.ts';
import { checkStanding } from './check-standing.ts';
import { checkDisk, checkStore } from './check-store.ts';
import { type Finding, ok, warning } from './finding.ts';
import { type Colour, inert, printer } from './print.ts';
import { configOf } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { type CommonOptions, verb } from './verb.ts';

const colourOf: Readonly<Record<Finding['verdict'], Colour>> = { ok: 'green', warn: 'yellow', fail: 'red' };

export function addCheck(program: Command, around: Surroundings): void {
  verb(program, 'check', 'look at configuration, keys, store and reachability, without starting')
    .option('--log', 'verify every line and body of the delivery log instead, also while a relay runs')
    .action(async (options: CommonOptions & { log?: true }) => {
      const { config } = await configOf(around, options.config);
      const { findings, ...seen } = options.log
        ? await checkLog(config, around.folder)
        : { findings: await findingsOf(config, around.folder) };
      const failed = findings.filter(({ verdict }) => verdict === 'fail').length;
      const to = printer(around.stdout, around.stderr, around.env);
      if (options.json) {
        to.json({ ok: failed === 0, checks: findings, ...seen });
      } else {
        for (const { check, verdict, message, todo } of findings) {
          to.out(`${to.paint(colourOf[verdict], verdict.padEnd(4))}  ${inert(`${check}: ${message}`)}`);
          if (todo !== null) to.out(`      ${inert(todo)}`);
        }
      }
      if (failed > 0) {
        throw new RelayError('check_failed', `${failed} of ${findings.length} checks failed.`, {
          hint: 'Do what stands below each of them, and check again.',
        });
      }
    });
}

async function findingsOf(config: Config, folder: string): Promise<readonly Finding[]> {
  const { networkDiskOfStore, tryStoreOf } = await import('../main/upkeep.ts');
  const { createGuards } = await import('../delivery/guards.ts');
  const guards = createGuards({ ...config.delivery, listening: () => [config.server] }, config);
  const path = resolve(folder, config.store.path);
  return [
    ok('config', 'it is understood, and the keys are there'),
    config.clinics.length > 0
      ? ok('clinics', `${config.clinics.length} are declared`)
      : warning('clinics', 'none is declared.', 'Add them to the file, or with `relay clinics add`.'),
    ...(await checkStore(path, () => tryStoreOf({ config, folder }))),
    ...checkDisk(path, await networkDiskOfStore({ config, folder })),
    ...(await checkStanding(config, folder)),
    await checkVendor(config.source.apiUrl),
    ...(config.delivery.proxy === null ? [] : [await checkProxy(config.delivery.proxy)]),
    ...filterFindings(config),
    ...(
      await Promise.all([
        ...config.subscribers.map(({ name, url }) =>
          checkAddress(`subscriber ${name}`, url, guards.subscribers),
        ),
        ...config.clinics.map(({ name, tokenUrl }) =>
          tokenUrl === undefined ? [] : checkAddress(`token URL of ${name}`, tokenUrl, guards.tokenUrls),
        ),
        config.operationalEvents === undefined
          ? []
          : checkAddress('operational events', config.operationalEvents.url, guards.operationalEvents),
      ])
    ).flat(),
  ];
}

function filterFindings({ subscribers, clinics }: Config): readonly Finding[] {
  return subscribers.flatMap((subscriber) =>
    filterWarnings(subscriber, clinics).map((text) =>
      warning(
        `filter of ${subscriber.name}`,
        text,
        'Correct it, unless it is new to Fullscript, or a clinic that is not in this file.',
      ),
    ),
  );
}
