export const halted = { kind: 'halted' } as const;

/** A request that waits for room in the budget may wait long; whoever halts does not. */
export async function unlessHalted<T>(work: Promise<T>, halt: AbortSignal): Promise<T | typeof halted> {
  let leave = (): void => {};
  const left = new Promise<typeof halted>((resolve) => {
    leave = () => resolve(halted);
    if (halt.aborted) leave();
    halt.addEventListener('abort', leave, { once: true });
  });
  try {
    return await Promise.race([work, left]);
  } finally {
    halt.removeEventListener('abort', leave);
  }
}
