import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type Bench, type Claim, isKept } from './bench.ts';

/** Each in a file of its own, loaded only when it is asked for. */
const benches = ['log', 'freshness', 'throughput', 'isolation'];

const usage = `npm run bench -- [NAME …] [--json FILE]

  NAME         ${benches.join(', ')}; all of them when none is named
  --json FILE  writes the tables and the claims there too
`;

/**
 * Runs the benches one after the other and prints what each measured and promised.
 *
 * @param load what is in the file of that name beside this one.
 * @returns the exit code: 1 when a claim is not kept.
 */
export async function command(
  args: readonly string[],
  load: (name: string) => Promise<{ readonly bench: Bench }>,
): Promise<number> {
  let names: readonly string[];
  let file: string | undefined;
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { json: { type: 'string' } },
    });
    file = values.json;
    names = positionals.length > 0 ? positionals : benches;
    const unknown = names.find((name) => !benches.includes(name));
    if (unknown !== undefined) throw new Error(`There is no bench named ${unknown}.`);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${usage}`);
    return 2;
  }
  const results: Record<string, unknown> = {};
  let isAllKept = true;
  for (const name of names) {
    const { bench } = await load(name);
    process.stdout.write(`\n${bench.name}: ${bench.about}\n`);
    const result = await bench.run();
    console.table(result.rows);
    for (const claim of result.claims) process.stdout.write(`${lineOf(claim)}\n`);
    isAllKept &&= result.claims.every(isKept);
    results[name] = result;
  }
  if (file !== undefined) await writeFile(file, `${JSON.stringify(results, null, 2)}\n`);
  return isAllKept ? 0 : 1;
}

function lineOf(claim: Claim): string {
  const limit = claim.atLeast !== undefined ? `at least ${claim.atLeast}` : `at most ${claim.atMost}`;
  return `${isKept(claim) ? 'kept  ' : 'BROKEN'}  ${claim.what}: ${claim.measured.toPrecision(3)} (${limit})`;
}
