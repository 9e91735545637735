import type { LinkStore } from '../store.ts';
import type { Core } from './core.ts';

export function linkPart({ commits, clock }: Core): LinkStore {
  return {
    useLink: (connectionId, keptUntil) =>
      commits.commit(({ state, record }) => {
        if (state.links.has(connectionId)) return false;
        record({ t: 'link', at: clock.now(), row: { id: connectionId, keptUntil, failure: null } });
        return true;
      }),

    failLink: (connectionId, failure) =>
      commits.commit(({ state, record }) => {
        const row = state.links.get(connectionId);
        if (row) record({ t: 'link', at: clock.now(), row: { ...row, failure } });
      }),

    usedLink: (connectionId) => commits.read((state) => state.links.get(connectionId) ?? null),
  };
}
