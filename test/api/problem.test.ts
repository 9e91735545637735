import { expect, test } from 'vitest';
import { problemOf } from '../../src/api/problem.ts';
import { RelayError, StoreCorrupt } from '../../src/domain/errors.ts';

const hint = 'What to do about it.';
for (const { thrown, status, because } of [
  {
    thrown: new RelayError('record_too_large', 'The record is too large.', { hint }),
    status: 400,
    because: 'whoever asked can ask for less',
  },
  {
    thrown: new StoreCorrupt('body_unreadable', 'The body cannot be read.', { hint }),
    status: 410,
    because: 'it is lost, and the rest of the log is not',
  },
  {
    thrown: new RelayError('signing_secret_unusable', 'There is no key for the tokens of sub_1.', { hint }),
    status: 409,
    because: 'a test or an examination cannot be signed until somebody makes a key',
  },
]) {
  test(`${thrown.code} is told as ${status}, with its hint: ${because}`, () => {
    expect(problemOf(thrown, 'req_1')).toMatchObject({ status, code: thrown.code, hint });
  });
}

test('any other damage of the store is the relay’s own fault, and its words stay in the log', () => {
  const thrown = new StoreCorrupt('value_unreadable', 'The key of subscriber sub_1 is not there.', { hint });
  const told = problemOf(thrown, 'req_1');
  expect(told).toMatchObject({ status: 500, code: 'value_unreadable' });
  expect(JSON.stringify(told)).not.toContain('sub_1');
});
