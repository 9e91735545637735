import type { Problem } from '../domain/errors.ts';
import type { Env } from './environment.ts';

/** The relay's own keys, which come from the environment and never from the configuration file. */
export interface Keys {
  /** 32 bytes. */
  readonly masterKey: Buffer;
  readonly previousMasterKey: Buffer | null;
  readonly jwtSecret: string | null;
  /** PEM texts of an ES256 pair; instead of a secret. */
  readonly jwtKeyPair: { readonly privateKey: string; readonly publicKey: string } | null;
}

const jwtSecretBytesMin = 32;
const placeholders = /^(change-?me|secret|password|example|your[-_ ].*)$/i;

/**
 * What is wrong with the keys of the environment, and with the switch that would give what they protect to anybody.
 *
 * @param madeStore the folder of a store that was made before, which no fresh key opens; `null` when there is none.
 */
export function keyProblems(env: Env, madeStore: string | null): readonly Problem[] {
  const problems: Problem[] = [];
  const init = '`relay init` writes a .env with fresh keys';
  const master =
    madeStore === null
      ? init
      : `set it to the key that the store in ${madeStore} was made with: no other opens it`;
  if (!env.RELAY_MASTER_KEY) {
    problems.push({ path: 'RELAY_MASTER_KEY', message: `is not set; ${master}` });
  } else if (masterKeyOf(env.RELAY_MASTER_KEY) === null) {
    problems.push({ path: 'RELAY_MASTER_KEY', message: `must be 32 bytes in base64; ${master}` });
  }
  if (env.RELAY_MASTER_KEY_PREVIOUS && masterKeyOf(env.RELAY_MASTER_KEY_PREVIOUS) === null) {
    problems.push({ path: 'RELAY_MASTER_KEY_PREVIOUS', message: 'must be 32 bytes in base64' });
  }
  const jwtSecret = env.RELAY_JWT_SECRET;
  if (jwtSecret) {
    if (
      Buffer.byteLength(jwtSecret) < jwtSecretBytesMin ||
      placeholders.test(jwtSecret) ||
      isMonotonous(jwtSecret)
    ) {
      problems.push({
        path: 'RELAY_JWT_SECRET',
        message: `must be ${jwtSecretBytesMin} random bytes at least; ${init}`,
      });
    } else if (jwtSecret === env.RELAY_MASTER_KEY) {
      problems.push({ path: 'RELAY_JWT_SECRET', message: 'must not be the master key' });
    }
  } else if (!env.RELAY_JWT_PRIVATE_KEY || !env.RELAY_JWT_PUBLIC_KEY) {
    problems.push({ path: 'RELAY_JWT_SECRET', message: `is not set; ${init}` });
  }
  if (env.NODE_TLS_REJECT_UNAUTHORIZED === '0') {
    problems.push({
      path: 'NODE_TLS_REJECT_UNAUTHORIZED',
      message: 'is 0, which switches certificate checks off; use NODE_EXTRA_CA_CERTS for a private authority',
    });
  }
  return problems;
}

/** Repeats a few characters: nobody's random bytes. */
function isMonotonous(text: string): boolean {
  return new Set(text).size < 8;
}

/** @param env that has no `keyProblems`. */
export function keysOf(env: Env): Keys {
  const { RELAY_JWT_PRIVATE_KEY: privateKey, RELAY_JWT_PUBLIC_KEY: publicKey } = env;
  return {
    masterKey: masterKeyOf(env.RELAY_MASTER_KEY ?? '') ?? Buffer.alloc(0),
    previousMasterKey: masterKeyOf(env.RELAY_MASTER_KEY_PREVIOUS ?? ''),
    jwtSecret: env.RELAY_JWT_SECRET || null,
    jwtKeyPair: privateKey && publicKey ? { privateKey, publicKey } : null,
  };
}

function masterKeyOf(text: string): Buffer | null {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text.trim())) return null;
  return Buffer.from(text.trim(), 'base64');
}
