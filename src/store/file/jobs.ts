import type { BudgetStore, JobStore, RevokedTokenStore } from '../store.ts';
import type { Core } from './core.ts';

/** What is granted has to be used at once, so that it can be counted from a known moment. */
const useWithinMs = 5_000;

export function jobPart({ commits }: Core): JobStore {
  return {
    saveJob: (job) => commits.commit(({ record }) => record({ t: 'job', row: job })),
    job: (jobId) => commits.read((state) => state.jobs.get(jobId) ?? null),
    jobs: () => commits.read((state) => [...state.jobs.values()]),
    deleteJob: (jobId) =>
      commits.commit(({ state, record }) => {
        if (state.jobs.has(jobId)) record({ t: 'jobGone', id: jobId });
      }),
  };
}

export function revokedTokenPart({ commits }: Core): RevokedTokenStore {
  return {
    revokeToken: (jti, expiresAt) =>
      commits.commit(({ record }) => record({ t: 'revoked', jti, until: expiresAt })),
    isRevoked: (jti) => commits.read((state) => state.revoked.has(jti)),
  };
}

export function budgetPart({ commits, clock }: Core): BudgetStore {
  return {
    reserveRequests: ({ count, limit, windowMs }) =>
      commits.commit(({ state, record }) => {
        const now = clock.now();
        let taken = 0;
        let soonestEnd = Number.POSITIVE_INFINITY;
        for (const block of state.budget.values()) {
          if (block.countsUntil <= now) continue;
          taken += block.count;
          soonestEnd = Math.min(soonestEnd, block.countsUntil);
        }
        const granted = Math.max(0, Math.min(count, limit - taken));
        if (granted === 0) return { granted, useWithinMs: 0, retryInMs: Math.max(1, soonestEnd - now) };
        record({ t: 'budget', at: now, count: granted, countsUntil: now + useWithinMs + windowMs });
        return { granted, useWithinMs, retryInMs: 0 };
      }),
  };
}
