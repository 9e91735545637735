/** What a subscriber's developer imports: `fullscript-relay/receiver`. It needs nothing but Node. */
export { InvalidInput, RelayError } from '../domain/errors.ts';
export type { JsonWebKeyLike, JwkSet } from './body-token.ts';
export { type FileInbox, type FileInboxOptions, openFileInbox } from './file-inbox.ts';
export type { KeepOptions } from './handled-events.ts';
export type { RequestHeaders } from './header-fields.ts';
export { type Copy, Inbox, type InboxStore, type Receipt } from './inbox.ts';
export { memoryInbox } from './memory-inbox.ts';
export type { ReceivedEvent } from './received-event.ts';
export { createReceiver, type Receiver, type ReceiverOptions } from './receiver.ts';
export type { Gap } from './sequence-watch.ts';
export type { SchemeName } from './signature-schemes.ts';
export {
  type RefusalReason,
  type Refused,
  type SignedRequest,
  type Verdict,
  type Verified,
  type VerifyOptions,
  verify,
} from './verify.ts';
