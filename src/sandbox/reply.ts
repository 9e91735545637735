/** What the vendor answers. Without a server, whoever drives the model reads it as it is. */
export interface Reply {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** How the body becomes bytes; UTF-8 when absent. */
  readonly encoding?: 'latin1';
  /** The answer takes this long. */
  readonly delayMs?: number;
  /** The connection breaks: nothing of the answer arrives, or about half of its body. */
  readonly drop?: 'beforeAnswer' | 'duringBody';
}

export function jsonReply(status: number, body: string, headers: Reply['headers'] = {}): Reply {
  return { status, headers: { 'content-type': 'application/json; charset=utf-8', ...headers }, body };
}

export function htmlReply(status: number, body: string, headers: Reply['headers'] = {}): Reply {
  return { status, headers: { 'content-type': 'text/html; charset=utf-8', ...headers }, body };
}

/** The shape of API errors; the token endpoint has its own. */
export function apiError(
  status: number,
  code: string,
  message: string,
  headers: Reply['headers'] = {},
): Reply {
  return jsonReply(status, JSON.stringify({ errors: [{ code, message }] }), headers);
}

/** Source: RFC 6749, 5.2. */
export function oauthError(status: 400 | 401, error: string, description: string): Reply {
  return jsonReply(status, JSON.stringify({ error, error_description: description }));
}
