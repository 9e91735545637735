#!/usr/bin/env node
import { endOnFault } from './last-words.ts';
import { endWithOutput } from './output-end.ts';
import { run } from './program.ts';
import { systemSurroundings } from './surroundings.ts';

const { stdout, stderr } = process;
endOnFault(process, {
  tell: (line) => stderr.write(`${line}\n`),
  exit: (code) => process.exit(code),
});

const isService = ['serve', 'sandbox', 'demo'].includes(process.argv[2] ?? '');
if (isService) {
  // A service that nobody listens to any more goes on.
  stdout.on('error', () => {});
  stderr.on('error', () => {});
} else {
  endWithOutput(
    { stdout, stderr },
    { tell: (line) => stderr.write(`${line}\n`), exit: (code) => process.exit(code) },
  );
}

// The clock's timers keep no process alive, and a verb may wait on nothing else.
const alive = setInterval(() => {}, 2 ** 30);
process.exitCode = await run(process.argv.slice(2), systemSurroundings());
clearInterval(alive);
// A service that failed may have left sockets open, and has to end all the same.
if (isService) process.exit();
