import { z } from 'zod';
import type { Problem } from '../domain/errors.ts';

const noStore = { kind: 'file', path: './data' };
const noSource = { environment: '', apiUrl: '' };

/** As much as the checks across its parts need to know of a file that may have other mistakes. */
const outline = z
  .object({
    source: z.object({ environment: z.string().catch(''), apiUrl: z.string().catch('') }).catch(noSource),
    clinics: z.array(z.object({ name: z.string() }).catch({ name: '' })).catch([]),
    subscribers: z.array(z.object({ name: z.string() }).catch({ name: '' })).catch([]),
    store: z.object({ kind: z.string().catch('file'), path: z.string().catch('./data') }).catch(noStore),
  })
  .catch({ source: noSource, clinics: [], subscribers: [], store: noStore });

/** What is wrong between the parts of a file. */
export function crossProblems(given: unknown): readonly Problem[] {
  const { source, clinics, subscribers } = outline.parse(given);
  return [
    ...twice('clinics', clinics),
    ...twice('subscribers', subscribers),
    ...(isInClear(source)
      ? [{ path: 'source.apiUrl', message: 'must be https: the tokens of real clinics go there' }]
      : []),
  ];
}

/** The store that a file names, as far as it can be told. */
export function storeIn(given: unknown): { readonly kind: string; readonly path: string } {
  return outline.parse(given).store;
}

function twice(list: string, items: readonly { readonly name: string }[]): readonly Problem[] {
  const names = items.map(({ name }) => name);
  return names.flatMap((name, index) => {
    const first = names.indexOf(name);
    return first === index || name === ''
      ? []
      : [{ path: `${list}[${index}].name`, message: `is the name of ${list}[${first}], too` }];
  });
}

/** A sandbox may be anywhere; what holds real patients is asked over TLS, or on this machine. */
function isInClear({ environment, apiUrl }: { environment: string; apiUrl: string }): boolean {
  if (environment.endsWith('-sandbox') || !URL.canParse(apiUrl)) return false;
  const { protocol, hostname } = new URL(apiUrl);
  return protocol === 'http:' && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}
