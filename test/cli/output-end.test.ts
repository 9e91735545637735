import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { endWithOutput } from '../../src/cli/output-end.ts';

for (const { stream, code, exits, tells, because } of [
  { stream: 'stdout', code: 'EPIPE', exits: 0, tells: [], because: 'the reader has what it wanted' },
  {
    stream: 'stdout',
    code: 'ENOSPC',
    exits: 1,
    tells: ['relay: The output cannot be written (ENOSPC).'],
    because: 'the result is lost',
  },
  {
    stream: 'stderr',
    code: 'EPIPE',
    exits: 0,
    tells: [],
    because: 'nobody reads what accompanies the result',
  },
  { stream: 'stderr', code: 'EIO', exits: 1, tells: [], because: 'there is nowhere to say so' },
] as const) {
  test(`when ${stream} ends with ${code}, the command ends with ${exits}: ${because}`, () => {
    const streams = { stdout: new EventEmitter(), stderr: new EventEmitter() };
    const exited: number[] = [];
    const told: string[] = [];
    endWithOutput(streams, { exit: (status) => exited.push(status), tell: (line) => told.push(line) });
    streams[stream].emit('error', Object.assign(new Error('write'), { code }));
    expect(exited).toEqual([exits]);
    expect(told).toEqual(tells);
  });
}
