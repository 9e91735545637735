import type { StreamKey } from '../domain/clinic.ts';

const pollsAtOnce = 8;
/** A clinic that answers slowly leaves room for the others. */
const pollsAtOnceOfClinic = 2;

/** The polls under way, and the room for others. */
export class PollSlots {
  /** Clinic id → category → the end of its poll. */
  readonly #underWay = new Map<string, Map<string, Promise<void>>>();
  #taken = 0;

  get isFull(): boolean {
    return this.#taken >= pollsAtOnce;
  }

  hasRoomFor(clinicId: string): boolean {
    return (this.#underWay.get(clinicId)?.size ?? 0) < pollsAtOnceOfClinic;
  }

  isTakenBy({ clinicId, category }: StreamKey): boolean {
    return this.#underWay.get(clinicId)?.has(category) ?? false;
  }

  /** @param ended never rejects. */
  take({ clinicId, category }: StreamKey, ended: Promise<void>): void {
    let ofClinic = this.#underWay.get(clinicId);
    if (ofClinic === undefined) {
      ofClinic = new Map();
      this.#underWay.set(clinicId, ofClinic);
    }
    ofClinic.set(category, ended);
    this.#taken += 1;
  }

  release({ clinicId, category }: StreamKey): void {
    const ofClinic = this.#underWay.get(clinicId);
    if (!ofClinic?.delete(category)) return;
    if (ofClinic.size === 0) this.#underWay.delete(clinicId);
    this.#taken -= 1;
  }

  /** Resolves when those that are under way now have ended. */
  async allEnded(): Promise<void> {
    await Promise.all([...this.#underWay.values()].flatMap((ofClinic) => [...ofClinic.values()]));
  }
}
