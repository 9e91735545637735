import type { Clock } from '../clock.ts';
import type { ClinicInput } from '../domain/clinic-input.ts';
import { Conflict } from '../domain/errors.ts';
import { startOf } from '../domain/start-from.ts';
import type { RequestBudget } from './budget.ts';
import { isLimited, wordsOf } from './clinic-access.ts';
import type { EventsApi, Refusal } from './events-api.ts';
import { dayBeforeHistory } from './list-bounds.ts';
import { listPages } from './list-pages.ts';
import type { OAuth } from './oauth.ts';

/** What a clinic would bring from its start on. */
export interface StartCount {
  readonly clinicId: string;
  readonly name: string;
  readonly startAt: number;
  readonly categories: readonly CategoryCount[];
}

export interface CategoryCount {
  readonly category: string;
  /** Created from the start on. */
  readonly taken: number;
  /** Created before, or listed without a date: known, and not sent. */
  readonly past: number;
  /** Its list has more pages than were read. */
  readonly isAtLeast: boolean;
  /** One line; `null` when it was listed. */
  readonly problem: string | null;
}

export interface StartCountDependencies {
  readonly api: EventsApi;
  readonly oauth: Pick<OAuth, 'askTokenUrl'>;
  readonly budget: RequestBudget;
  readonly clock: Clock;
  readonly categories: readonly string[];
  /** Of a clinic that names no other. */
  readonly startFrom: string;
}

/** Of each category: 2,000 events; somebody waits for the answer. */
const pagesMax = 20;

/**
 * Counts what a clinic that is not connected yet would bring. The access token that was
 * given is used and never renewed: a pair that is renewed has to be kept.
 *
 * @throws Conflict `clinic_not_readable`
 */
export function createStartCount(
  dependencies: StartCountDependencies,
): (input: ClinicInput) => Promise<StartCount> {
  const { api, budget, clock, categories } = dependencies;
  return async (input) => {
    const accessToken = await tokenOf(input, dependencies);
    const clinic = await withinBudget(budget, () => api.clinic(accessToken));
    if (clinic.kind !== 'clinic') throw notReadable(`Fullscript answers ${wordsOf(clinic)}`);
    const startAt = startOf(input.startFrom ?? dependencies.startFrom, clinic.vendorNow ?? clock.now());
    const counts: CategoryCount[] = [];
    for (const category of categories) {
      counts.push(await countCategory(category, { accessToken, startAt }, dependencies));
    }
    return { clinicId: clinic.id, name: input.name, startAt, categories: counts };
  };
}

async function tokenOf(
  { accessToken, tokenUrl, tokenUrlSecret }: ClinicInput,
  { oauth }: StartCountDependencies,
): Promise<string> {
  if (accessToken !== undefined) return accessToken;
  const answer = await oauth.askTokenUrl(tokenUrl ?? '', tokenUrlSecret ?? null);
  if (answer.kind === 'tokens') return answer.tokens.accessToken;
  throw notReadable(`the tokenUrl answers ${answer.kind === 'unavailable' ? answer.detail : answer.kind}`);
}

async function countCategory(
  category: string,
  { accessToken, startAt }: { readonly accessToken: string; readonly startAt: number },
  { api, budget, clock }: StartCountDependencies,
): Promise<CategoryCount> {
  const afterDay = dayBeforeHistory({ cursor: null, startAt }, clock.now());
  const ids = new Set<string>();
  let taken = 0;
  let past = 0;
  let pages = 0;
  const ask = (page: number) =>
    withinBudget(budget, () => api.list(accessToken, { category, afterDay, page }));
  for await (const answer of listPages(ask, pagesMax)) {
    if (answer.kind === 'endless') return { category, taken, past, isAtLeast: true, problem: null };
    if (answer.kind !== 'page') {
      return { category, taken, past, isAtLeast: pages > 0, problem: wordsOf(answer) };
    }
    pages++;
    for (const { id, createdAt } of answer.items) {
      if (id === null || ids.has(id)) continue;
      ids.add(id);
      if (createdAt !== null && createdAt >= startAt) taken++;
      else past++;
    }
  }
  return { category, taken, past, isAtLeast: false, problem: null };
}

/** What is refused for asking too often has the whole app wait. */
async function withinBudget<Answer extends { readonly kind: string }>(
  budget: RequestBudget,
  ask: () => Promise<Answer | Refusal>,
): Promise<Answer | Refusal> {
  const answer = await budget.run('list', ask);
  if (isLimited(answer)) budget.pause(answer.retryAfterMs);
  return answer;
}

function notReadable(why: string): Conflict {
  return new Conflict('clinic_not_readable', `The clinic cannot be read: ${why}.`, {
    hint: 'A dry run renews no tokens: give an access token that Fullscript takes at the moment.',
  });
}
