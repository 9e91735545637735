import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { endOnFault } from '../../src/cli/last-words.ts';

class PatientFault extends TypeError {
  override name = 'PatientFault';
}

for (const { thrown, says, because } of [
  {
    thrown: new PatientFault('Canary-Zoë has no birthday'),
    says: /\(PatientFault at last-words\.test\.ts:\d+\)/,
    because: 'its kind and its place are told, and not what it was about',
  },
  {
    thrown: Object.assign(new Error('Canary'), { stack: 'Error: Canary\n  Canary' }),
    says: /\(Error\)/,
    because: 'it has no place',
  },
  {
    thrown: { token: 'Canary' },
    says: /\(no error was thrown, but something else\)/,
    because: 'it is no error',
  },
]) {
  test(`case 33: a fault that nobody caught is one line and exit code 1: ${because}`, () => {
    const process = new EventEmitter();
    const told: string[] = [];
    const exits: number[] = [];
    endOnFault(process, { tell: (line) => told.push(line), exit: (code) => exits.push(code) });
    process.emit('uncaughtException', thrown);
    expect(exits).toEqual([1]);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(says);
    expect(told[0]).not.toMatch(/Canary|\n/);
  });
}
