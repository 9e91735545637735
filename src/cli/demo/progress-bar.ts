import type { OutputStream } from '../print.ts';

const width = 40;

/** A bar that is drawn over itself on a terminal, and not at all elsewhere. */
export function progressBar(stream: OutputStream, whole: number): { show(done: number): void; end(): void } {
  if (!stream.isTTY) return { show() {}, end() {} };
  return {
    show(done) {
      const filled = Math.round((done / whole) * width);
      stream.write(`\r${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${done} of ${whole} delivered`);
    },
    end: () => stream.write('\n'),
  };
}
