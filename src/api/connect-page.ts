import { createHash } from 'node:crypto';
import type { Connected } from '../source/connect.ts';

const style = `:root{color-scheme:light dark;--ink:#1c2420;--soft:#56635c;--paper:#f5f6f3;--card:#fff;--good:#1f7a4d;--bad:#a8361f}
@media (prefers-color-scheme:dark){:root{--ink:#eef2ef;--soft:#a9b5ae;--paper:#121614;--card:#1b211e;--good:#5fc795;--bad:#f08a72}}
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--paper);color:var(--ink);font:1.0625rem/1.55 system-ui,sans-serif}
main{box-sizing:border-box;width:min(32rem,100% - 2rem);margin:1rem;padding:2rem;background:var(--card);border-radius:.75rem;border-top:.375rem solid var(--bad)}
main.good{border-color:var(--good)}
h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25;overflow-wrap:anywhere}
p{margin:.5rem 0 0}
small{display:block;margin-top:1.5rem;color:var(--soft)}`;

const styleDigest = createHash('sha256').update(style).digest('base64');
const contentSecurityPolicy = `default-src 'none';style-src 'sha256-${styleDigest}';base-uri 'none';form-action 'none';frame-ancestors 'none'`;

const anotherLink = 'Ask for another link: <code>relay clinics connect</code> makes one.';

/** Heading and text by what came of it: of the request it shows nothing. */
function wordsOf(connected: Connected): readonly [heading: string, text: string] {
  switch (connected.kind) {
    case 'connected':
      return [`${escaped(connected.name)} is connected`, 'Its events are read from now on.'];
    case 'waiting':
      return [
        `${escaped(connected.name)} is being connected`,
        'Your permission is saved. Fullscript has not named the clinic yet; the relay goes on asking.',
      ];
    case 'denied':
      return ['Not connected', `Access was denied, so nothing has changed. ${anotherLink}`];
    case 'otherClinic':
      return [
        'Not connected',
        `Fullscript did not take you for a user of the clinic that this link is for, so nothing of the permission was kept. Sign in as one of its users. ${anotherLink}`,
      ];
    case 'codeRefused':
      return ['Not connected', `Fullscript did not confirm the permission. ${anotherLink}`];
    case 'linkUnknown':
      return [
        'This link is not valid',
        `It is not one of this relay’s links, or a part of it is missing. ${anotherLink}`,
      ];
    case 'linkExpired':
      return ['This link has expired', `A link is good for ten minutes. ${anotherLink}`];
    case 'linkUsed':
      return ['This link was used already', `A link works once. ${anotherLink}`];
    case 'vendorAway':
      return [
        'Fullscript cannot be reached',
        `The permission could not be fetched. Wait a minute. ${anotherLink}`,
      ];
    case 'storeAway':
      return ['Not connected', `The relay cannot write its log at the moment. ${anotherLink}`];
    case 'busy':
      return ['Too many at once', 'Load this page again in a few minutes.'];
  }
}

export function connectPage(connected: Connected): {
  readonly html: string;
  readonly contentSecurityPolicy: string;
} {
  const [heading, text] = wordsOf(connected);
  const isGood = connected.kind === 'connected' || connected.kind === 'waiting';
  const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${heading} · Fullscript Relay</title><style>${style}</style></head>
<body><main${isGood ? ' class="good"' : ''}><h1>${heading}</h1><p>${text}</p><small>Fullscript Relay. You can close this page.</small></main></body></html>
`;
  return { html, contentSecurityPolicy };
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
