/** Runs one piece of work after the other, whatever becomes of each. */
export type OneAtATime = <Answer>(work: () => Promise<Answer>) => Promise<Answer>;

export function oneAtATime(): OneAtATime {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const turn = last.then(work);
    last = turn.catch(() => {});
    return turn;
  };
}
