import type { SandboxClinic } from './clinics.ts';
import { htmlReply, type Reply } from './reply.ts';
import type { RegisteredApp } from './token-endpoint.ts';
import type { Tokens } from './tokens.ts';

const style = `:root{color-scheme:light dark}
body{margin:0;min-height:100vh;display:grid;place-items:center;font:1rem/1.5 system-ui,sans-serif}
main{box-sizing:border-box;width:min(28rem,100% - 2rem);margin:1rem;padding:2rem;border:1px solid #8886;border-radius:.5rem}
h1{margin:0;font-size:1.375rem;line-height:1.3;overflow-wrap:anywhere}
label{display:block;margin-top:1rem}
select{display:block;width:100%;margin-top:.25rem}
select,button{padding:.5rem;font:inherit;border:1px solid #8888;border-radius:.375rem}
form p{display:flex;gap:.75rem;margin:1.5rem 0 0}
button{flex:1}`;

/** The page on which a user of a clinic allows the app to read it. */
export class AuthorizePage {
  readonly #app: Pick<RegisteredApp, 'clientId' | 'redirectUris'>;
  readonly #clinics: readonly SandboxClinic[];
  readonly #tokens: Tokens;

  constructor(
    app: Pick<RegisteredApp, 'clientId' | 'redirectUris'>,
    clinics: readonly SandboxClinic[],
    tokens: Tokens,
  ) {
    this.#app = app;
    this.#clinics = clinics;
    this.#tokens = tokens;
  }

  show(query: URLSearchParams): Reply {
    const refusal = this.#refuse(query);
    if (refusal !== null) return refusal;
    const asked = ['client_id', 'redirect_uri', 'response_type', 'state'].filter((name) => query.has(name));
    const hidden = asked.map(
      (name) => `<input type="hidden" name="${name}" value="${escaped(query.get(name) ?? '')}">`,
    );
    const clinics = this.#clinics.map(
      ({ id, name }) => `<option value="${escaped(id)}">${escaped(name)}</option>`,
    );
    return page(
      200,
      `<h1>Let ${escaped(this.#app.clientId)} read your clinic?</h1>
<p>This is the Fullscript sandbox: nobody real is behind it.</p>
<form method="post">
${hidden.join('\n')}
<label>Clinic <select name="clinic">${clinics.join('')}</select></label>
<label>Sign in as <select name="user_type"><option>Practitioner</option><option>Staff</option></select></label>
<p><button name="decision" value="allow">Allow</button> <button name="decision" value="deny">Deny</button></p>
</form>`,
    );
  }

  /** Takes the form of the page: `clinic` may be an id or a name. */
  decide(form: URLSearchParams, now: number): Reply {
    const refusal = this.#refuse(form);
    if (refusal !== null) return refusal;
    const redirectUri = form.get('redirect_uri') ?? '';
    if (form.get('decision') === 'deny') return redirect(redirectUri, form, { error: 'access_denied' });
    const named = form.get('clinic');
    const clinic = this.#clinics.find(({ id, name }) => id === named || name === named);
    const type = form.get('user_type') ?? 'Practitioner';
    const user = clinic?.users.find((each) => each.type === type);
    if (form.get('decision') !== 'allow' || user === undefined) {
      return page(400, '<h1>Choose a clinic, a user, and Allow or Deny.</h1>');
    }
    return redirect(redirectUri, form, { code: this.#tokens.giveCode(user, redirectUri, now) });
  }

  #refuse(asked: URLSearchParams): Reply | null {
    if (asked.get('client_id') !== this.#app.clientId) return page(401, '<h1>This app is not known.</h1>');
    const redirectUri = asked.get('redirect_uri') ?? '';
    if (!this.#app.redirectUris.includes(redirectUri)) {
      return page(404, '<h1>The redirect URI is not the registered one.</h1>');
    }
    return asked.get('response_type') === 'code'
      ? null
      : redirect(redirectUri, asked, { error: 'unsupported_response_type' });
  }
}

function redirect(uri: string, asked: URLSearchParams, answer: Readonly<Record<string, string>>): Reply {
  const location = new URL(uri);
  for (const [name, value] of Object.entries(answer)) location.searchParams.set(name, value);
  const state = asked.get('state');
  if (state !== null) location.searchParams.set('state', state);
  return htmlReply(302, '', { location: location.href });
}

function page(status: number, content: string): Reply {
  return htmlReply(
    status,
    `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Fullscript sandbox</title><style>${style}</style></head>
<body><main>${content}</main></body></html>
`,
    { 'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'" },
  );
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
