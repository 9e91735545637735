import { readFileSync } from 'node:fs';

const file = (name: string) => readFileSync(new URL(`tls/${name}`, import.meta.url), 'utf8');

/** One key, known to everybody, and three certificates that it signed for itself. */
export const tlsFiles = {
  key: file('key.pem'),
  /** For localhost, hooks.example and 127.0.0.1; valid until 2125. */
  localhost: file('localhost.pem'),
  /** For other.example only. */
  otherHost: file('other-host.pem'),
  /** For localhost; ended in 2020. */
  expired: file('expired.pem'),
};
