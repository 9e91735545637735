import type { NetworkError, Phase } from '../domain/attempt.ts';

/** By these the egress proxy says that it reached nobody; whatever else is wrong with it is a fault of our own. */
const isProxyBeyond = /^PROXY_(50[234]|SOCKS_[3456])$/;

/** Faults of our own, which say nothing about the subscriber: descriptors, memory, ports, a local firewall or proxy, a header that cannot be sent. */
const localCodes =
  /^(PROXY_\w+|EMFILE|ENFILE|ENOBUFS|ENOMEM|EADDRNOTAVAIL|EADDRINUSE|EACCES|EPERM|EAFNOSUPPORT|ERR_HTTP_\w+|ERR_INVALID_\w+|ERR_UNESCAPED_CHARACTERS)$/;

/** OpenSSL's own names for what a certificate or its chain lacks do not share a prefix, so the phase helps. */
const tlsCodes =
  /^(EPROTO$|ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH)/;

const classOfCode: Readonly<Record<string, NetworkError>> = {
  ECONNREFUSED: 'refused',
  ECONNRESET: 'reset',
  ECONNABORTED: 'reset',
  EPIPE: 'reset',
  EHOSTUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENETUNREACH: 'unreachable',
  ENETDOWN: 'unreachable',
  ETIMEDOUT: 'unreachable',
};

/** The class of an error that Node's network code gave. Only its `code` is kept: messages hold addresses, and objects more. */
export function networkFault(error: unknown, phase: Phase): { error: NetworkError; code: string } {
  const code = codeOf(error);
  return { error: classOf(code, phase), code };
}

function classOf(code: string, phase: Phase): NetworkError {
  if (isProxyBeyond.test(code)) return 'unreachable';
  if (localCodes.test(code)) return 'local';
  if (phase === 'dns') return 'dns';
  if (code.startsWith('HPE_')) return 'badResponse';
  if (tlsCodes.test(code)) return 'tls';
  return classOfCode[code] ?? (phase === 'tls' ? 'tls' : phase === 'connect' ? 'unreachable' : 'reset');
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && code !== '' ? code : 'UNKNOWN';
}
