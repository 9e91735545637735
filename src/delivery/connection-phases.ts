import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { Clock } from '../clock.ts';
import type { Phase } from '../domain/attempt.ts';

/** What an exchange may be in before there is a connection to send on. */
export type ConnectionPhase = Extract<Phase, 'dns' | 'connect' | 'tls'>;

/** How long each of them may last, all addresses of a name together. */
const phaseMsMax = 5_000;

/** One phase took longer than it may, whatever the exchange as a whole is allowed. */
export class PhaseTimedOut extends Error {
  readonly code = 'PHASE_TIMED_OUT';
  readonly phase: ConnectionPhase;
  readonly timeoutMs = phaseMsMax;

  constructor(phase: ConnectionPhase) {
    super(`no end of ${phase} within ${phaseMsMax} ms`);
    this.name = 'PhaseTimedOut';
    this.phase = phase;
  }
}

/** Absent once a connection is ready to send on. */
const phases = new WeakMap<Duplex, ConnectionPhase>();

/** `null` when the connection stands. */
export function phaseOfConnection(socket: Duplex): ConnectionPhase | null {
  return phases.get(socket) ?? null;
}

/** Follows a connection that is being made, and destroys it when one of its phases takes too long. */
export function followPhases(socket: Duplex, first: ConnectionPhase, clock: Clock): void {
  let cancel = () => {};
  const enter = (phase: ConnectionPhase) => {
    cancel();
    phases.set(socket, phase);
    // What came while the process was held up is read first, and may be the end of the phase.
    const expire = () => phases.get(socket) === phase && socket.destroy(new PhaseTimedOut(phase));
    cancel = clock.after(phaseMsMax, () => setImmediate(expire));
  };
  const leave = () => {
    cancel();
    phases.delete(socket);
  };
  enter(first);
  socket.once('lookup', (error: Error | null) => {
    if (error === null) enter('connect');
  });
  socket.once('connect', () => (socket instanceof TLSSocket ? enter('tls') : leave()));
  socket.once('secureConnect', leave);
  // The phase in which it broke is still told.
  socket.once('close', () => cancel());
}

/** What `work` comes to, unless it takes longer than a phase may; then `end` is told, and what comes later is dropped. */
export function withinPhase<T>(
  phase: ConnectionPhase,
  clock: Clock,
  work: Promise<T>,
  end: (late: PhaseTimedOut) => void = () => {},
): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(phaseMsMax, () => {
      const late = new PhaseTimedOut(phase);
      end(late);
      reject(late);
    });
    work.then(resolve, reject).finally(cancel);
  });
}
