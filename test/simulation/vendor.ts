import type { Fullscript } from '../../src/sandbox/fullscript.ts';
import type { Random } from '../../src/sandbox/random.ts';
import type { VendorAnswer, VendorHttp } from '../../src/source/vendor-http.ts';
import type { Life } from './life.ts';

export const app = {
  apiUrl: 'http://vendor.sim/api',
  clientId: 'sandbox-client',
  clientSecret: 'sandbox-secret',
  redirectUri: 'http://127.0.0.1:8080/oauth/callback',
};

const origin = 'http://vendor.sim';
const timeoutMs = 30_000;

/** The way of one process to the vendor's model. The vendor acts at once; its answer takes a while, and may never come. */
export function vendorHttpOf(
  life: Life,
  { fullscript, random, pageSizeMax }: { fullscript: Fullscript; random: Random; pageSizeMax: number },
): VendorHttp {
  return (request) =>
    new Promise((resolve) => {
      if (life.isOver) return;
      const { method, url, accessToken, json } = request;
      life.requests.add(request);
      const settle = (answer: VendorAnswer) => {
        life.requests.delete(request);
        resolve(answer);
      };
      const reply = fullscript.answer({
        method,
        path: withPageSize(url.slice(origin.length), pageSizeMax),
        ...(accessToken !== undefined && { authorization: `Bearer ${accessToken}` }),
        ...(json && { contentType: 'application/json', body: JSON.stringify(json) }),
      });
      const answer = answerOf(reply);
      const delayMs = random.int(1, 200) + (reply.delayMs ?? 0);
      if (delayMs > timeoutMs) {
        life.timeOut(timeoutMs, () => settle({ kind: 'unreachable', detail: 'ETIMEDOUT' }));
      } else life.hear(delayMs, () => settle(answer));
    });
}

function answerOf(reply: ReturnType<Fullscript['answer']>): VendorAnswer {
  if (reply.drop !== undefined) return { kind: 'unreachable', detail: 'ECONNRESET' };
  return {
    kind: 'answered',
    status: reply.status,
    body: Buffer.from(reply.body, reply.encoding),
    vendorNow: Date.parse(reply.headers.date ?? '') || null,
    retryAfter: reply.headers['retry-after'],
  };
}

/** A vendor may give smaller pages than were asked for, and a few events then make many pages. */
function withPageSize(path: string, pageSizeMax: number): string {
  return path.replace(/page%5Bsize%5D=\d+/, `page%5Bsize%5D=${pageSizeMax}`);
}

/** A user of the clinic authorizes the app again, through the vendor's own pages. */
export function authorizeAgain(
  fullscript: Fullscript,
  clinic: string,
): { accessToken: string; refreshToken: string } | null {
  const form = new URLSearchParams({
    client_id: app.clientId,
    redirect_uri: app.redirectUri,
    response_type: 'code',
    decision: 'allow',
    clinic,
  });
  const consent = fullscript.answer({
    method: 'POST',
    path: '/api/oauth/authorize',
    contentType: 'application/x-www-form-urlencoded',
    body: form.toString(),
  });
  const code = new URL(consent.headers.location ?? origin).searchParams.get('code');
  const granted = fullscript.answer({
    method: 'POST',
    path: '/api/oauth/token',
    contentType: 'application/json',
    body: JSON.stringify({
      client_id: app.clientId,
      client_secret: app.clientSecret,
      grant_type: 'authorization_code',
      code,
      redirect_uri: app.redirectUri,
    }),
  });
  try {
    const { oauth } = JSON.parse(granted.body);
    return { accessToken: oauth.access_token, refreshToken: oauth.refresh_token };
  } catch {
    return null;
  }
}
