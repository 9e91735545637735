import type { Config } from '../config.ts';
import type { AddressGuard } from '../delivery/address-guard.ts';
import { Backfiller } from '../delivery/backfiller.ts';
import { createDeliver } from '../delivery/deliver.ts';
import { Dispatcher } from '../delivery/dispatcher.ts';
import { createDoctor } from '../delivery/doctor.ts';
import { Eraser } from '../delivery/eraser.ts';
import type { FetchEvent } from '../delivery/fetched-rounds.ts';
import { createHandshake } from '../delivery/handshake.ts';
import { OwedHandshakes } from '../delivery/owed-handshakes.ts';
import { Replayer } from '../delivery/replayer.ts';
import { createSendTest } from '../delivery/send-test.ts';
import { createTokenKeyOf } from '../delivery/token-key-of.ts';
import { createWebhookSender } from '../delivery/webhook-sender.ts';
import type { AfterAttempt } from '../store/store.ts';
import { createSampleEvent } from './sample-event.ts';
import { type Shared, userAgent } from './shared.ts';

interface WayOutShared extends Shared {
  readonly fetchEvent: FetchEvent;
  readonly onFailed: (after: AfterAttempt) => void;
}

/** Puts together what sends to subscribers. */
export function wayOut(config: Config, guard: AddressGuard, shared: WayOutShared) {
  const { store, clock, random, logger, onFatal, fetchEvent, onFailed } = shared;
  const { timeoutMs, concurrency, concurrencyPerSubscriber, proxy } = config.delivery;
  const sender = createWebhookSender({ guard, clock, proxy });
  const { post } = sender;
  const tokenKeyOf = createTokenKeyOf(store, clock);
  const deliver = createDeliver({
    store,
    post,
    clock,
    random,
    logger,
    userAgent,
    tokenKeyOf,
    timeoutMs,
    onFailed,
  });
  const dispatcher = new Dispatcher({
    store,
    deliver,
    clock,
    logger,
    onFatal,
    concurrency,
    concurrencyPerSubscriber,
    timeoutMs,
  });
  const shakeHands = createHandshake({ post, clock, logger, userAgent, tokenKeyOf });
  const wake = () => dispatcher.wake();
  const handshakes = new OwedHandshakes({ store, shakeHands, clock, logger, onPassed: wake, onFatal });
  const sampleEvent = createSampleEvent(clock, random);
  const sendTest = createSendTest({ post, clock, userAgent, tokenKeyOf, timeoutMs, sampleEvent });
  const examine = createDoctor({
    post,
    shakeHands,
    clock,
    logger,
    userAgent,
    tokenKeyOf,
    timeoutMs,
    sampleEvent,
  });
  const replayer = new Replayer({ store, fetchEvent, clock, logger, onStarted: wake, onFatal });
  const { deliveriesDays, idsDays } = config.retention;
  const deliveriesKeptMs = Math.max(deliveriesDays, idsDays) * 86_400_000;
  const backfiller = new Backfiller({
    store,
    fetchEvent,
    deliveriesKeptMs,
    clock,
    logger,
    onOwed: wake,
    onFatal,
  });
  const eraser = new Eraser({ store, clock, logger, onFatal });
  return { sender, shakeHands, sendTest, examine, dispatcher, handshakes, replayer, backfiller, eraser };
}
