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

/** Long enough for whatever is under way on this machine to come to rest, without any timer. */
export async function quiet(turns = 200): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
