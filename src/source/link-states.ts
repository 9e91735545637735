import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

/** What a link stands for. */
export interface LinkAsk {
  /** `null`: as the vendor calls the clinic. */
  readonly name: string | null;
  /** Of the connection to come: no other link has it. */
  readonly connectionId: string;
  /** As long as the link is good. */
  readonly until: number;
}

const ivBytes = 12;
const tagBytes = 16;
/** A state for the longest name is half as long. */
const stateLengthMax = 2_048;

/**
 * The `state` of a link is what was asked, sealed under a key of the relay's own: nothing is
 * stored until it is used, so that a link outlives a restart and asking for links fills no disk.
 */
export class LinkStates {
  readonly #key: Buffer;

  /** @param masterKey 32 bytes; the key of the states derives from it. */
  constructor(masterKey: Buffer) {
    this.#key = Buffer.from(hkdfSync('sha256', masterKey, '', 'relay connect state', 32));
  }

  seal(asked: LinkAsk): string {
    const iv = randomBytes(ivBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#key, iv, { authTagLength: tagBytes });
    const text = Buffer.concat([cipher.update(JSON.stringify(asked)), cipher.final()]);
    return Buffer.concat([iv, cipher.getAuthTag(), text]).toString('base64url');
  }

  /** `null` when this relay has not sealed it. */
  unseal(state: string): LinkAsk | null {
    const sealed = Buffer.from(state.slice(0, stateLengthMax), 'base64url');
    if (sealed.toString('base64url') !== state || sealed.length < ivBytes + tagBytes) return null;
    try {
      const iv = sealed.subarray(0, ivBytes);
      const decipher = createDecipheriv('aes-256-gcm', this.#key, iv, { authTagLength: tagBytes });
      decipher.setAuthTag(sealed.subarray(ivBytes, ivBytes + tagBytes));
      const text = Buffer.concat([decipher.update(sealed.subarray(ivBytes + tagBytes)), decipher.final()]);
      return JSON.parse(text.toString()) as LinkAsk;
    } catch {
      return null;
    }
  }
}
