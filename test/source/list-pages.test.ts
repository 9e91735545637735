import { expect, test } from 'vitest';
import type { ListPage, Refusal } from '../../src/source/events-api.ts';
import { listPages } from '../../src/source/list-pages.ts';

function aPage(ids: string, nextPage: number | null, isNextGuessed = false): ListPage {
  const items = [...ids].map((id) => ({ id, type: null, createdAt: null, clinicId: null, digest: id }));
  return { kind: 'page', items, nextPage, ...(isNextGuessed && { isNextGuessed }), vendorNow: null };
}

const endless = (detail: string) => ({ kind: 'endless', detail });
const notFound = { kind: 'notFound' } as const;

/** Each answer in its turn, and which pages were asked for. */
async function read(answers: readonly (ListPage | Refusal)[], pagesMax?: number) {
  const asked: number[] = [];
  const told: (string | object)[] = [];
  const left = [...answers];
  const ask = async (page: number) => {
    asked.push(page);
    const answer = left.shift();
    if (answer === undefined) throw new Error(`page ${page} was asked for too many`);
    return answer;
  };
  for await (const answer of listPages(ask, pagesMax)) {
    if (answer.kind === 'page') told.push(answer.items.map(({ id }) => id).join(''));
    else told.push(answer);
  }
  return { asked, told };
}

for (const { because, answers, pagesMax, asked, told } of [
  {
    because: 'the vendor names the page that follows, and then none',
    answers: [aPage('ab', 2), aPage('c', null)],
    asked: [1, 2],
    told: ['ab', 'c'],
  },
  {
    because: 'what is answered instead is told, and the page asked for again',
    answers: [aPage('ab', 2), { kind: 'limited', status: 429, retryAfterMs: null }, aPage('c', null)],
    asked: [1, 2, 2],
    told: ['ab', { kind: 'limited', status: 429, retryAfterMs: null }, 'c'],
  },
  {
    because: 'a guessed page that is not there is an empty one',
    answers: [aPage('ab', 2, true), notFound],
    asked: [1, 2],
    told: ['ab', ''],
  },
  {
    because: 'one that was named has to be there',
    answers: [aPage('ab', 2), notFound, aPage('c', null)],
    asked: [1, 2, 2],
    told: ['ab', notFound, 'c'],
  },
  {
    because: 'a list without pages shows the same one again where the next was guessed',
    answers: [aPage('ab', 2, true), aPage('ab', 3, true)],
    asked: [1, 2],
    told: ['ab', 'ab'],
  },
  {
    because: 'a page that leads back would be read for ever',
    answers: [aPage('ab', 2), aPage('c', 2)],
    asked: [1, 2],
    told: ['ab', 'c', endless('page 2 is followed by page 2')],
  },
  {
    because: 'so would a list that never ends',
    answers: [aPage('ab', 2), aPage('c', 3)],
    pagesMax: 2,
    asked: [1, 2],
    told: ['ab', 'c', endless('the list has more than 2 pages')],
  },
] satisfies {
  because: string;
  answers: (ListPage | Refusal)[];
  pagesMax?: number;
  asked: number[];
  told: unknown[];
}[]) {
  test(`a list is read to its end: ${because}`, async () => {
    expect(await read(answers, pagesMax)).toEqual({ asked, told });
  });
}
