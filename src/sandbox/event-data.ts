import type { documentedEventTypes } from '../domain/event.ts';
import { type JsonValue, RawJson } from './json-text.ts';
import type { Random } from './random.ts';

type JsonObject = { readonly [key: string]: JsonValue };

/** The people and products that a clinic's events are about, the same ones again and again. */
export interface Roster {
  readonly practitionerIds: readonly string[];
  readonly patients: readonly Patient[];
  readonly products: readonly Product[];
  /** Of the clinic's own time, as it stands in `completed_at`. */
  readonly utcOffset: string;
}

interface Patient {
  readonly id: string;
  readonly firstName: string;
  readonly lastName: string;
  readonly dateOfBirth: string;
}

interface Product {
  readonly id: string;
  readonly name: string;
  readonly variantIds: readonly string[];
}

const firstNames = [
  'Zoë',
  'José',
  'Łukasz',
  'Siobhán',
  'Ana',
  '美咲',
  'Nguyễn',
  'Omar',
  'Åsa',
  'Grace',
  'Иван',
];
const lastNames = [
  "O'Brien",
  'Müller-Lüdenscheidt',
  'García',
  'Smith',
  'Ødegård',
  '王',
  'Phạm',
  'Dvořák',
  'King',
];
const productNames = [
  'Magnésium 200',
  'Vitamin D3/K2',
  'Omega‑3 “Pure”',
  'B-Complex',
  'Açaí & Zinc',
  'Probiotic 50B',
];
const brands = ['Nordisk Näring', 'Pure Pantry', 'L’Herboriste'];
const utcOffsets = ['-08:00', '-05:00', '-03:30', '+00:00', '+05:45'];

export function makeRoster(random: Random): Roster {
  const list = <T>(length: number, make: () => T) => Array.from({ length }, make);
  return {
    practitionerIds: list(3, random.uuid),
    patients: list(12, () => ({
      id: random.uuid(),
      firstName: random.pick(firstNames),
      lastName: random.pick(lastNames),
      dateOfBirth: `19${random.int(40, 99)}-0${random.int(1, 9)}-${random.int(10, 28)}`,
    })),
    products: list(8, () => ({
      id: random.uuid(),
      name: random.pick(productNames),
      variantIds: list(random.int(1, 3), random.uuid),
    })),
    utcOffset: random.pick(utcOffsets),
  };
}

type Make = (roster: Roster, random: Random, createdAt: number) => JsonObject;

/**
 * The documented `data` of each type. Source: Fullscript, "Available webhooks"; clinic keys
 * have no page, and their shape is a guess after the reference.
 */
export const dataOf: Readonly<Record<(typeof documentedEventTypes)[number], Make>> = {
  'order.placed': (roster, random, createdAt) => ({
    id: random.uuid(),
    order_number: `R${random.int(100_000_000, 999_999_999)}`,
    completed_at: inOffset(createdAt - random.int(1_000, 9_000), roster.utcOffset),
    treatment_plan_ids: [random.uuid()],
    practitioner_ids: [random.pick(roster.practitionerIds)],
    patient_id: random.pick(roster.patients).id,
    line_items: Array.from({ length: random.int(1, 4) }, () => ({
      variant_id: random.pick(random.pick(roster.products).variantIds),
      quantity: random.int(1, 5),
      type: random.next() < 0.9 ? 'supplement' : 'lab',
    })),
  }),
  'lab_order.updated': (roster, random) => {
    const patient = random.pick(roster.patients);
    return {
      lab_order: {
        id: random.uuid(),
        practitioner_id: random.pick(roster.practitionerIds),
        patient_id: patient.id,
        first_name: patient.firstName,
        last_name: patient.lastName,
        email: emailOf(patient),
        status: random.pick(['results_received', 'all_results_received', 'results_amended']),
      },
    };
  },
  'treatment_plan.created': (roster, random, createdAt) => treatmentPlan(roster, random, createdAt, true),
  'treatment_plan.updated': (roster, random, createdAt) => treatmentPlan(roster, random, createdAt, true),
  'treatment_plan.recommendation.updated': (roster, random, createdAt) =>
    treatmentPlan(roster, random, createdAt, false),
  'patient.created': (roster, random) => ({ patient: patientFields(roster, random) }),
  'patient.updated': (roster, random) => ({ patient: patientFields(roster, random) }),
  'patient.emancipated': (roster, random) => ({
    patient: {
      ...patientFields(roster, random),
      is_dependent: false,
      guardian_patient_id: random.pick(roster.patients).id,
    },
  }),
  'product.created': (roster, random) => productFields(roster, random),
  'product.updated': (roster, random) => ({ product: productFields(roster, random) }),
  'product.description.updated': (roster, random) => ({ product: productFields(roster, random) }),
  'clinic_key.activated': (_roster, random) => ({ clinic_key: { id: random.uuid(), state: 'activated' } }),
  'clinic_key.revoked': (_roster, random) => ({ clinic_key: { id: random.uuid(), state: 'revoked' } }),
};

function patientFields(roster: Roster, random: Random): JsonObject {
  const patient = random.pick(roster.patients);
  return {
    id: patient.id,
    first_name: patient.firstName,
    last_name: patient.lastName,
    email: emailOf(patient),
    date_of_birth: patient.dateOfBirth,
    gender: random.pick(['female', 'male', 'other', null]),
    discount: new RawJson(`${random.int(0, 35)}.0`),
    total_discount: new RawJson(`${random.int(0, 35)}.50`),
    mobile_number: `+1555010${random.int(1000, 9999)}`,
    text_message_notification: random.next() < 0.5,
  };
}

function treatmentPlan(roster: Roster, random: Random, createdAt: number, isWhole: boolean): JsonObject {
  const recommendation = () => ({
    variant_id: random.pick(random.pick(roster.products).variantIds),
    refill: random.next() < 0.5,
    units_to_purchase: random.int(1, 3),
    take_with: random.pick(['food', 'water', null]),
    dosage: {
      amount: random.pick(['1', '1/2', '1-2']),
      frequency: random.pick(['once per day', 'twice per day']),
      duration: '3 months',
      format: random.pick(['capsule', 'tablet', 'dropper']),
      additional_info: random.pick(['Avec de l’eau', 'Before bed — not with café', null]),
      time_of_day: ['morning', 'bedtime'],
    },
  });
  const plan = {
    id: random.uuid(),
    active: 'true',
    available_at: new Date(createdAt).toISOString().slice(0, 10),
    patient: { id: random.pick(roster.patients).id },
    practitioner: { id: random.pick(roster.practitionerIds) },
    recommendations: Array.from({ length: random.int(1, 3) }, recommendation),
  };
  if (!isWhole) return { treatment_plan: plan };
  const resource = {
    id: random.uuid(),
    attachment_url: 'https://files.example/plans/guide.pdf?v=1',
    category: 'handout',
    name: 'Sleep – a guide',
    type: 'pdf',
  };
  const lab = {
    id: random.uuid(),
    name: 'Vitamin D, 25‑OH',
    requires_fasting: true,
    instructions: 'Fast for 10 h.\nWater is fine.',
    tests: [{ id: random.uuid(), name: '25(OH)D' }],
  };
  return { treatment_plan: { ...plan, resources: [resource], lab_recommendations: [lab] } };
}

function productFields(roster: Roster, random: Random): JsonObject {
  const product = random.pick(roster.products);
  const brand = random.pick(brands);
  return {
    id: product.id,
    name: product.name,
    description_html: `<p>${product.name} <br/>by ${brand}</p>`,
    brand: { id: random.uuid(), name: brand, prefix: brand.slice(0, 2).toUpperCase() },
    variants: product.variantIds.map((id, index) => ({
      id,
      sku: `SKU/${index + 1}`,
      primary: index === 0,
      units: new RawJson('60.0'),
      unit_of_measure: 'capsules',
      availability: random.pick(['in_stock', 'backordered']),
      status: 'active',
      upc: new RawJson(`123456789012345678${random.int(10, 99)}`),
      msrp: `${random.int(9, 89)}.90`,
      supplier_sku: `S-${index + 1}`,
    })),
    dosage: {
      recommended_amount: '1',
      recommended_frequency: 'once per day',
      recommended_duration: '1 month',
      format: 'capsule',
      additional_info: null,
    },
  };
}

function emailOf(patient: Patient): string {
  return `patient-${patient.id.slice(0, 8)}@clinic.example`;
}

/** ISO 8601 with a numeric offset: `2026-11-01T07:59:58.000-05:00`. */
function inOffset(at: number, utcOffset: string): string {
  const [hours = 0, minutes = 0] = utcOffset.slice(1).split(':').map(Number);
  const offsetMs = (hours * 60 + minutes) * 60_000 * (utcOffset.startsWith('-') ? -1 : 1);
  return new Date(at + offsetMs).toISOString().replace('Z', utcOffset);
}
