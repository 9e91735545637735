import type { Attempt } from '../../domain/attempt.ts';
import type { Connection, Tokens } from '../../domain/clinic.ts';
import { StoreCorrupt } from '../../domain/errors.ts';
import type { SigningSecret, Subscriber } from '../../domain/subscriber.ts';
import type { TokenKey } from '../../domain/token-key.ts';
import type { Revocation } from '../store.ts';
import type { AttemptRow, ConnectionRow, RevocationRow, SubscriberRow, TokenKeyRow } from './facts.ts';
import type { KeyRing } from './keys.ts';
import { type DataKey, keyIdOf, type SealedFor, seal, unseal } from './sealing.ts';
import type { State } from './state.ts';

interface SubscriberSecrets {
  readonly secrets: readonly SigningSecret[];
  readonly challengeToken: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

interface ConnectionSecrets {
  readonly tokens: Tokens | null;
  readonly spareTokens: Tokens | null;
  readonly tokenUrlSecret: string | null;
}

type RevocationSecret = Pick<Revocation, 'tokens'>;
type TokenKeySecret = Pick<TokenKey, 'privateKey'>;

/** What rows do not hold that were written before these fields were known. */
const unknownBefore = { requestsPerSecond: null, order: null, jwt: false, thin: false, headers: {} };

/** Between what the relay works with and what may lie on a disk: everything secret in it sealed. */
export class Codec {
  readonly #keys: KeyRing;
  readonly #key: DataKey;
  /** Opened once: rows are never changed, only replaced. */
  readonly #opened = new WeakMap<object, unknown>();
  /** As last put together: most reads come between two changes, and most changes are in the health alone. */
  readonly #subscribers = new WeakMap<SubscriberRow, Subscriber>();
  readonly #connections = new WeakMap<ConnectionRow, Connection>();
  readonly #tokenKeys = new WeakMap<TokenKeyRow, TokenKey>();

  constructor(keys: KeyRing, key: DataKey) {
    this.#keys = keys;
    this.#key = key;
  }

  subscriberRow(subscriber: Subscriber): SubscriberRow {
    const { secrets, challengeToken, headers, health: _health, sequence: _sequence, ...rest } = subscriber;
    return {
      ...rest,
      sealed: this.#seal({ secrets, challengeToken, headers }, { kind: 'subscriber', record: rest.id }),
    };
  }

  subscriber(state: State, row: SubscriberRow): Subscriber {
    const health = state.healthOf(row.id);
    const sequence = state.sequences.get(row.id) ?? 0;
    const known = this.#subscribers.get(row);
    if (known?.health === health && known.sequence === sequence) return known;
    const subscriber = { ...(known ?? this.#openedRow(row)), health, sequence };
    this.#subscribers.set(row, subscriber);
    return subscriber;
  }

  #openedRow(row: SubscriberRow) {
    const { sealed, ...rest } = row;
    const opened = this.#open<SubscriberSecrets>(row, sealed, { kind: 'subscriber', record: row.id });
    return { ...unknownBefore, ...rest, ...opened };
  }

  connectionRow(connection: Connection): ConnectionRow {
    const { tokens, spareTokens, origin, ...rest } = connection;
    const hidden: ConnectionSecrets = {
      tokens,
      spareTokens,
      tokenUrlSecret: origin.kind === 'tokenUrl' ? origin.secret : null,
    };
    return {
      ...rest,
      origin: origin.kind,
      tokenUrl: origin.kind === 'tokenUrl' ? origin.url : null,
      sealed: this.#seal(hidden, { kind: 'connection', record: rest.id }),
    };
  }

  connection(row: ConnectionRow): Connection {
    const known = this.#connections.get(row);
    if (known) return known;
    const { sealed, origin, tokenUrl, ...rest } = row;
    const { tokens, spareTokens, tokenUrlSecret } = this.#open<ConnectionSecrets>(row, sealed, {
      kind: 'connection',
      record: row.id,
    });
    const connection: Connection = {
      ...rest,
      tokens,
      spareTokens,
      origin:
        origin === 'tokenUrl'
          ? { kind: 'tokenUrl', url: tokenUrl ?? '', secret: tokenUrlSecret }
          : { kind: 'refreshToken' },
    };
    this.#connections.set(row, connection);
    return connection;
  }

  revocationRow({ tokens, ...rest }: Revocation): RevocationRow {
    return { ...rest, sealed: this.#seal({ tokens }, { kind: 'revocation', record: rest.id }) };
  }

  revocation(row: RevocationRow): Revocation {
    const { sealed, ...rest } = row;
    return { ...rest, ...this.#open<RevocationSecret>(row, sealed, { kind: 'revocation', record: row.id }) };
  }

  tokenKeyRow({ privateKey, ...rest }: TokenKey): TokenKeyRow {
    return { ...rest, sealed: this.#seal({ privateKey }, { kind: 'tokenKey', record: rest.id }) };
  }

  tokenKey(row: TokenKeyRow): TokenKey {
    const known = this.#tokenKeys.get(row);
    if (known) return known;
    const { sealed, ...rest } = row;
    const opened = this.#open<TokenKeySecret>(row, sealed, { kind: 'tokenKey', record: row.id });
    const key = { ...rest, ...opened };
    this.#tokenKeys.set(row, key);
    return key;
  }

  attempt(deliveryId: string, row: AttemptRow, excerpt: string | null): Attempt {
    return { ...row, deliveryId, excerpt };
  }

  #seal(
    value: SubscriberSecrets | ConnectionSecrets | RevocationSecret | TokenKeySecret,
    sealedFor: SealedFor,
  ): string {
    return seal(Buffer.from(JSON.stringify(value)), this.#key, sealedFor).toString('base64url');
  }

  #open<Secrets>(row: object, text: string, sealedFor: SealedFor): Secrets {
    const known = this.#opened.get(row);
    if (known) return known as Secrets;
    const sealed = Buffer.from(text, 'base64url');
    const key = this.#keys.key(keyIdOf(sealed));
    if (!key) {
      throw new StoreCorrupt(
        'value_unreadable',
        `The key of ${sealedFor.kind} ${sealedFor.record} is not there.`,
        {
          hint: 'Restore keys.json from a backup.',
        },
      );
    }
    const opened = JSON.parse(unseal(sealed, key, sealedFor).toString()) as Secrets;
    this.#opened.set(row, opened as object);
    return opened;
  }
}
