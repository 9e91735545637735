import { InvalidInput } from '../domain/errors.ts';

/** Whether the relay may send there, by the URL's text alone. */
export type UrlVerdict =
  | { readonly kind: 'ok'; readonly url: string }
  | { readonly kind: 'refused'; readonly reason: string; readonly allowWith: string | null };

/**
 * The URL as it is to be stored.
 *
 * @param field that the URL was given in.
 * @throws InvalidInput `url_refused`
 */
export function vettedUrl(vetUrl: (text: string) => UrlVerdict, field: string, text: string): string {
  const verdict = vetUrl(text);
  if (verdict.kind === 'ok') return verdict.url;
  throw new InvalidInput('url_refused', `The relay does not dial that address: ${verdict.reason}.`, {
    hint:
      verdict.allowWith === null
        ? 'No setting allows this URL; use another one.'
        : `The operator can allow it in relay.config.json: ${verdict.allowWith}`,
    problems: [{ path: field, message: verdict.reason }],
  });
}
