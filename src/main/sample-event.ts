import type { Clock } from '../clock.ts';
import { Fullscript } from '../sandbox/fullscript.ts';

/** Sample events come from the sandbox: they look as the vendor's do, odd spellings included. */
export function createSampleEvent(
  clock: Clock,
  random: () => number,
): (eventType: string | null, createdAt?: number) => string {
  const clinic = 'Sample clinic';
  return (type, createdAt) => {
    const seed = Math.floor(random() * 2 ** 32);
    const vendor = new Fullscript({ clock, seed, clinics: [clinic] });
    const asked = { ...(type !== null && { type }), ...(createdAt !== undefined && { createdAt }) };
    return vendor.addEvent({ clinic, ...asked }).text;
  };
}
