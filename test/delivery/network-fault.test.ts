import { expect, test } from 'vitest';
import { networkFault } from '../../src/delivery/network-fault.ts';
import type { Phase } from '../../src/domain/attempt.ts';

for (const { code, phase, error, because } of [
  { code: 'EMFILE', phase: 'connect', error: 'local', because: 'descriptors are ours' },
  { code: 'EMFILE', phase: 'dns', error: 'local', because: 'in any phase' },
  { code: 'EADDRNOTAVAIL', phase: 'connect', error: 'local', because: 'our ports are used up' },
  { code: 'ENOMEM', phase: 'send', error: 'local', because: 'memory is ours' },
  { code: 'EACCES', phase: 'connect', error: 'local', because: 'a firewall of ours forbids it' },
  { code: 'ERR_INVALID_CHAR', phase: 'send', error: 'local', because: 'we could not write the header' },
  { code: 'ECONNREFUSED', phase: 'connect', error: 'refused', because: 'nobody listens' },
  {
    code: 'ECONNREFUSED',
    phase: 'dns',
    error: 'dns',
    because: 'the name server refused, not the subscriber',
  },
  { code: 'ETIMEOUT', phase: 'dns', error: 'dns', because: 'the name server was silent' },
  { code: 'EHOSTUNREACH', phase: 'connect', error: 'unreachable', because: 'no route (case 82)' },
  { code: 'ETIMEDOUT', phase: 'connect', error: 'unreachable', because: 'the kernel gave up dialling' },
  { code: 'EOTHER', phase: 'connect', error: 'unreachable', because: 'what fails in dialling is no reset' },
  { code: 'ECONNRESET', phase: 'tls', error: 'reset', because: 'a reset is one in the handshake too' },
  { code: 'CERT_HAS_EXPIRED', phase: 'tls', error: 'tls', because: 'a certificate' },
  { code: 'INVALID_CA', phase: 'tls', error: 'tls', because: 'OpenSSL has names of no pattern' },
  {
    code: 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
    phase: 'headers',
    error: 'tls',
    because: 'TLS 1.3 tells it late',
  },
  { code: 'EPIPE', phase: 'send', error: 'reset', because: 'closed while we wrote' },
  { code: 'HPE_INVALID_CONSTANT', phase: 'headers', error: 'badResponse', because: 'it is not HTTP' },
] satisfies { code: string; phase: Phase; error: string; because: string }[]) {
  test(`${code} in the phase ${phase} is ${error}: ${because}`, () => {
    expect(networkFault(Object.assign(new Error('x'), { code }), phase)).toEqual({ error, code });
  });
}

test('an error without a code is told as such, and nothing else of it is kept', () => {
  expect(networkFault(new Error('secret'), 'headers')).toEqual({ error: 'reset', code: 'UNKNOWN' });
  expect(networkFault('secret', 'connect')).toEqual({ error: 'unreachable', code: 'UNKNOWN' });
});
