import { stat } from 'node:fs/promises';

/** Resolves when `isSo` holds, looking after every turn of the event loop; throws after five seconds. */
export async function eventually(
  isSo: () => boolean | Promise<boolean>,
  what = 'what was expected',
): Promise<void> {
  const untilMs = performance.now() + 5_000;
  while (!(await isSo())) {
    if (performance.now() > untilMs) throw new Error(`${what} did not come`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Lets whatever is under way here come to rest: so many rounds through the event loop and the disk. */
export async function quiet(rounds = 100): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    await stat('.');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
