import type { ListPage } from './events-api.ts';

/** The list does not come to an end. */
export interface Endless {
  readonly kind: 'endless';
  readonly detail: string;
}

/** A million events. Only a list that never ends has more. */
const pagesMaxOfAny = 10_000;

/**
 * Reads a list page by page, to its last one: whoever comes to the end of it has read the
 * whole list. What is answered instead of a page is handed on; to go on after it asks for
 * the page again. An endless list ends with that.
 *
 * A page that was only guessed may not be there, or be the one before again, because the
 * list has no pages: both are the end of a list that says nothing of its pages.
 *
 * @param pagesMax how many are read before a list counts as endless.
 */
export async function* listPages<Other extends { readonly kind: string }>(
  ask: (page: number) => Promise<ListPage | Other>,
  pagesMax = pagesMaxOfAny,
): AsyncGenerator<ListPage | Other | Endless, void, void> {
  let before: ListPage | null = null;
  for (let page = 1; page <= pagesMax; ) {
    const answer: ListPage | Other = pageOrEnd(await ask(page), before);
    yield answer;
    if (!isPage(answer)) continue;
    const next = answer.nextPage;
    if (next === null || (before?.isNextGuessed && namesOf(answer) === namesOf(before))) return;
    if (next <= page) {
      yield { kind: 'endless', detail: `page ${page} is followed by page ${next}` };
      return;
    }
    before = answer;
    page = next;
  }
  yield { kind: 'endless', detail: `the list has more than ${pagesMax} pages` };
}

function pageOrEnd<Other extends { readonly kind: string }>(
  answer: ListPage | Other,
  before: ListPage | null,
): ListPage | Other {
  const isThere = answer.kind !== 'notFound' && answer.kind !== 'rejected';
  if (isThere || !before?.isNextGuessed) return answer;
  return { kind: 'page', items: [], nextPage: null, vendorNow: null };
}

function isPage(answer: { readonly kind: string }): answer is ListPage {
  return answer.kind === 'page';
}

function namesOf({ items }: ListPage): string {
  return JSON.stringify(items.map(({ id, digest }) => id ?? digest));
}
