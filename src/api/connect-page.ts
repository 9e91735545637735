import { createHash } from 'node:crypto';
import type { Connected } from '../source/connect.ts';

type Tone = 'good' | 'waiting' | 'bad';

interface Words {
  readonly tone: Tone;
  readonly heading: string;
  readonly text: string;
}

const style = `:root{color-scheme:light dark;--ink:#1d2521;--soft:#5b6961;--paper:#f3f5f2;--card:#fff;--line:#e1e6e2;--good:#1f7a4d;--good-bed:#e3f3ea;--waiting:#855c0c;--waiting-bed:#faf0d8;--bad:#a8361f;--bad-bed:#fbe8e3}
@media (prefers-color-scheme:dark){:root{--ink:#ecf1ee;--soft:#a3b0a9;--paper:#111513;--card:#1a201d;--line:#2c3430;--good:#67cd9d;--good-bed:#163526;--waiting:#e5bd63;--waiting-bed:#392d12;--bad:#f39179;--bad-bed:#43211a}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;min-height:100svh;padding:1.25rem;display:flex;flex-direction:column;align-items:center;justify-content:center;gap:1.25rem;background:var(--paper);color:var(--ink);font:1.0625rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{width:100%;max-width:29rem;padding:2.5rem 2.25rem 2.25rem;background:var(--card);border:1px solid var(--line);border-radius:1rem;box-shadow:0 1px 2px rgb(0 0 0/.04),0 12px 32px -12px rgb(0 0 0/.12)}
svg{display:block;width:3.25rem;height:3.25rem;padding:.8rem;border-radius:50%;fill:none;stroke:currentColor;stroke-width:2.5;stroke-linecap:round;stroke-linejoin:round}
.good svg{color:var(--good);background:var(--good-bed)}
.waiting svg{color:var(--waiting);background:var(--waiting-bed)}
.bad svg{color:var(--bad);background:var(--bad-bed)}
h1{margin:1.5rem 0 .5rem;font-size:1.5rem;line-height:1.25;font-weight:650;letter-spacing:-.01em;text-wrap:balance;overflow-wrap:anywhere}
p{margin:0 0 .75rem;text-wrap:pretty}
.next{margin:1.5rem 0 0;padding-top:1.25rem;border-top:1px solid var(--line);color:var(--soft);font-size:.9375rem}
footer{color:var(--soft);font-size:.875rem}
@media (max-width:30rem){main{padding:1.75rem 1.5rem 1.5rem}}`;

const styleDigest = createHash('sha256').update(style).digest('base64');
const contentSecurityPolicy = `default-src 'none';style-src 'sha256-${styleDigest}';base-uri 'none';form-action 'none';frame-ancestors 'none'`;

const signOf: Readonly<Record<Tone, string>> = {
  good: '<path d="M5 12.5 10 17.5 19.5 7"/>',
  waiting: '<circle cx="12" cy="12" r="9"/><path d="M12 7v5l3.5 2"/>',
  bad: '<path d="M12 5.5v8M12 18.5v.01"/>',
};

const nextOf: Readonly<Record<Tone, string>> = {
  good: 'There is nothing else to do here. You can close this page.',
  waiting: 'You can close this page, or load it again later to see how it went.',
  bad: 'To try again, ask whoever sent you the link for another one.',
};

/** What came of it, to a user of the clinic: of the request it shows nothing. */
function wordsOf(connected: Connected): Words {
  switch (connected.kind) {
    case 'connected':
      return {
        tone: 'good',
        heading: `${escaped(connected.name)} is connected`,
        text: 'You have given your permission, and the clinic’s events are read from now on.',
      };
    case 'waiting':
      return {
        tone: 'waiting',
        heading: `${escaped(connected.name ?? 'Your clinic')} is being connected`,
        text: 'Your permission is saved. Fullscript has not said yet which clinic is yours; it is asked again until it does.',
      };
    case 'denied':
      return bad('Not connected', 'Access was denied at Fullscript, so nothing has changed.');
    case 'otherClinic':
      return bad(
        'Not connected',
        'Fullscript did not take you for a user of the clinic that this link is for. Nothing of the permission was kept. Please sign in to Fullscript as a user of that clinic.',
      );
    case 'codeRefused':
      return bad('Not connected', 'Fullscript did not confirm the permission, so nothing has changed.');
    case 'linkUnknown':
      return bad('This link is not valid', 'It was not made here, or a part of it is missing.');
    case 'linkExpired':
      return bad('This link has expired', 'A link is good for ten minutes.');
    case 'linkUsed':
      return bad('This link was used already', 'A link is good for one visit.');
    case 'vendorAway':
      return bad(
        'Fullscript cannot be reached',
        'The permission could not be fetched from there, so nothing has changed. It may work again in a few minutes.',
      );
    case 'storeAway':
      return bad('Not connected', 'The permission cannot be saved at the moment, so nothing has changed.');
    case 'underWay':
      return {
        tone: 'waiting',
        heading: 'One moment, please',
        text: 'Fullscript asks for some patience. Your permission is fetched as soon as it lets us.',
      };
    case 'busy':
      return {
        tone: 'waiting',
        heading: 'One moment, please',
        text: 'Many clinics are being connected just now.',
      };
  }
}

function bad(heading: string, text: string): Words {
  return { tone: 'bad', heading, text };
}

export function connectPage(connected: Connected): {
  readonly html: string;
  readonly contentSecurityPolicy: string;
} {
  const { tone, heading, text } = wordsOf(connected);
  const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${heading} · Fullscript Relay</title><style>${style}</style></head>
<body><main class="${tone}"><svg viewBox="0 0 24 24" aria-hidden="true">${signOf[tone]}</svg>
<h1>${heading}</h1><p>${text}</p>
<p class="next">${nextOf[tone]}</p></main>
<footer>Fullscript Relay</footer></body></html>
`;
  return { html, contentSecurityPolicy };
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
