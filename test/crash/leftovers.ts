const leftovers = new Map<string, () => void>();

/** What goes with the process if it ends before `cleared`, last left first. @param path names it. */
export function leaves(path: string, clear: () => void): void {
  if (leftovers.size === 0) process.once('exit', clearAll);
  leftovers.set(path, clear);
}

export function cleared(path: string): void {
  leftovers.delete(path);
  if (leftovers.size === 0) process.off('exit', clearAll);
}

function clearAll(): void {
  for (const clear of [...leftovers.values()].reverse()) {
    try {
      clear();
    } catch {
      // The rest is cleared all the same; nobody listens any more.
    }
  }
}
