import { createHash } from 'node:crypto';
import { InvalidInput, NotFound } from '../domain/errors.ts';

export interface SandboxUser {
  readonly id: string;
  readonly type: 'Practitioner' | 'Staff';
  readonly name: string;
  readonly clinicId: string;
}

/** A clinic of the sandbox. Its ids derive from its name, so they are the same after every start. */
export interface SandboxClinic {
  readonly id: string;
  readonly name: string;
  /** The name as it stands in the fixed tokens: `new-york`. */
  readonly slug: string;
  /** The fixed tokens belong to the first of them. */
  readonly users: readonly [SandboxUser, ...SandboxUser[]];
}

export const defaultClinicNames = ['Washington', 'New York'] as const;

/** @throws InvalidInput `sandbox_clinics_invalid` when there is none, or two would have the same fixed tokens. */
export function sandboxClinics(names: readonly string[]): readonly SandboxClinic[] {
  if (names.length === 0) {
    throw new InvalidInput('sandbox_clinics_invalid', 'The sandbox needs at least one clinic.', {
      hint: `Name one, or leave clinics out to get ${defaultClinicNames.join(' and ')}.`,
    });
  }
  const nameBySlug = new Map<string, string>();
  return names.map((name) => {
    const slug = slugOf(name);
    const other = nameBySlug.get(slug);
    if (slug === '' || other !== undefined) {
      throw new InvalidInput(
        'sandbox_clinics_invalid',
        slug === ''
          ? `The clinic name "${name}" has no letter or digit.`
          : `"${name}" is too like "${other}".`,
        { hint: 'Give clinics names that differ in their ASCII letters and digits.' },
      );
    }
    nameBySlug.set(slug, name);
    const id = stableUuid(`clinic ${slug}`);
    const user = (type: SandboxUser['type']): SandboxUser => ({
      id: stableUuid(`${type} ${slug}`),
      type,
      name: type === 'Practitioner' ? `Dr. ${name}` : `${name} front desk`,
      clinicId: id,
    });
    return { id, name, slug, users: [user('Practitioner'), user('Staff')] };
  });
}

/** Finds clinics by their ids and by their names. */
export class ClinicIndex {
  readonly #found = new Map<string, SandboxClinic>();

  constructor(clinics: readonly SandboxClinic[]) {
    for (const clinic of clinics) this.#found.set(clinic.name, clinic);
    for (const clinic of clinics) this.#found.set(clinic.id, clinic);
  }

  /** @throws NotFound */
  find(idOrName: string): SandboxClinic {
    const found = this.#found.get(idOrName);
    if (found === undefined) throw new NotFound('clinic', idOrName);
    return found;
  }
}

function slugOf(name: string): string {
  return name
    .normalize('NFKD')
    .replace(/\p{Mark}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
}

function stableUuid(of: string): string {
  const hex = createHash('sha256').update(`sandbox ${of}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
