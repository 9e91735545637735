import { describe, expect, test } from 'vitest';
import { documentedEventTypes } from '../../src/domain/event.ts';
import { categoryOf } from '../../src/sandbox/event-log.ts';
import { startAt, vendor } from './vendor.ts';

function many(type: string | undefined, count: number, seed = 7) {
  const { fullscript } = vendor({ seed });
  return Array.from({ length: count }, () =>
    fullscript.addEvent({ clinic: 'Washington', ...(type === undefined ? {} : { type }) }),
  );
}

const patientKeys = [
  'id',
  'first_name',
  'last_name',
  'email',
  'date_of_birth',
  'gender',
  'discount',
  'total_discount',
  'mobile_number',
  'text_message_notification',
];
const planKeys = ['id', 'active', 'available_at', 'patient', 'practitioner', 'recommendations'];
const wholePlanKeys = [...planKeys, 'resources', 'lab_recommendations'];
const productKeys = ['id', 'name', 'description_html', 'brand', 'variants', 'dosage'];

describe('the documented shape of data', () => {
  for (const { type, wrapper, keys } of [
    {
      type: 'order.placed',
      wrapper: null,
      keys: [
        'id',
        'order_number',
        'completed_at',
        'treatment_plan_ids',
        'practitioner_ids',
        'patient_id',
        'line_items',
      ],
    },
    {
      type: 'lab_order.updated',
      wrapper: 'lab_order',
      keys: ['id', 'practitioner_id', 'patient_id', 'first_name', 'last_name', 'email', 'status'],
    },
    { type: 'treatment_plan.created', wrapper: 'treatment_plan', keys: wholePlanKeys },
    { type: 'treatment_plan.updated', wrapper: 'treatment_plan', keys: wholePlanKeys },
    { type: 'treatment_plan.recommendation.updated', wrapper: 'treatment_plan', keys: planKeys },
    { type: 'patient.created', wrapper: 'patient', keys: patientKeys },
    { type: 'patient.updated', wrapper: 'patient', keys: patientKeys },
    {
      type: 'patient.emancipated',
      wrapper: 'patient',
      keys: [...patientKeys, 'is_dependent', 'guardian_patient_id'],
    },
    { type: 'product.created', wrapper: null, keys: productKeys },
    { type: 'product.updated', wrapper: 'product', keys: productKeys },
    { type: 'product.description.updated', wrapper: 'product', keys: productKeys },
    { type: 'clinic_key.activated', wrapper: 'clinic_key', keys: ['id', 'state'] },
    { type: 'clinic_key.revoked', wrapper: 'clinic_key', keys: ['id', 'state'] },
  ]) {
    test(`${type} has ${wrapper === null ? 'no wrapper' : `its fields in ${wrapper}`}`, () => {
      const [made] = many(type, 1);
      const event = JSON.parse(made?.text ?? '');
      const hasClinic = type !== 'product.created';
      expect(Object.keys(event)).toEqual([
        'id',
        'type',
        'created_at',
        ...(hasClinic ? ['clinic_id'] : []),
        'data',
      ]);
      expect(event).toMatchObject({ id: made?.id, type, created_at: '2026-11-20T12:00:00.000Z' });
      expect(Object.keys(wrapper === null ? event.data : event.data[wrapper])).toEqual(keys);
      if (wrapper !== null) expect(Object.keys(event.data)).toEqual([wrapper]);
    });
  }

  test('an order is completed at a moment with a numeric offset, just before its event', () => {
    for (const { text } of many('order.placed', 20)) {
      const completedAt: string = JSON.parse(text).data.completed_at;
      expect(completedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$/);
      expect(startAt - Date.parse(completedAt)).toBeGreaterThan(0);
      expect(startAt - Date.parse(completedAt)).toBeLessThan(10_000);
    }
  });

  test('a plan is active as a string', () => {
    expect(JSON.parse(many('treatment_plan.created', 1)[0]?.text ?? '').data.treatment_plan.active).toBe(
      'true',
    );
  });
});

describe('texts that do not survive being parsed and written again', () => {
  test('discounts such as 10.0, and numbers that no double holds', () => {
    expect(many('patient.updated', 1)[0]?.text).toMatch(/"discount":\d+\.0,/);
    const product = many('product.created', 1)[0]?.text ?? '';
    expect(product).toMatch(/"upc":123456789012345678\d\d\b/);
    expect(JSON.stringify(JSON.parse(product))).not.toBe(product);
  });

  test('plain and escaped letters, plain and escaped slashes', () => {
    const texts = many('product.created', 60).map(({ text }) => text);
    expect(texts.some((text) => /[^\0-\x7f]/.test(text))).toBe(true);
    expect(texts.some((text) => /\\u00[0-9a-f]{2}/.test(text))).toBe(true);
    expect(texts.some((text) => text.includes('<\\/p>'))).toBe(true);
    expect(texts.some((text) => text.includes('</p>'))).toBe(true);
    for (const text of texts) expect(JSON.parse(text).data.description_html).toContain('</p>');
  });
});

describe('the seed', () => {
  test('gives the same events again, and another seed gives others', () => {
    const texts = (seed: number) => many(undefined, 50, seed).map(({ text }) => text);
    expect(texts(1)).toEqual(texts(1));
    expect(texts(1)).not.toEqual(texts(2));
  });

  test('is not disturbed by requests', () => {
    const asked = vendor();
    for (let i = 0; i < 9; i += 1) asked.get('/api/clinic');
    expect(asked.fullscript.addEvent({ clinic: 'Washington' })).toEqual(many(undefined, 1)[0]);
  });

  test('sooner or later makes every documented type, each in its category', () => {
    const made = many(undefined, 1500);
    expect(new Set(made.map(({ type }) => type))).toEqual(new Set(documentedEventTypes));
    expect(made.every(({ type, category }) => category === categoryOf(type))).toBe(true);
    expect(new Set(made.map(({ id }) => id)).size).toBe(1500);
  });
});

test('a patient of a clinic comes up again with the same birthday', () => {
  const birthdays = new Map<string, Set<string>>();
  for (const { text } of many('patient.updated', 100)) {
    const { id, date_of_birth } = JSON.parse(text).data.patient;
    birthdays.set(id, (birthdays.get(id) ?? new Set()).add(date_of_birth));
  }
  expect(birthdays.size).toBeLessThanOrEqual(12);
  expect([...birthdays.values()].every((each) => each.size === 1)).toBe(true);
});

test('an id that the clinic has already is refused, another clinic may have it too', () => {
  const { fullscript } = vendor();
  fullscript.addEvent({ clinic: 'Washington', id: 'same' });
  expect(() => fullscript.addEvent({ clinic: 'Washington', id: 'same' })).toThrow(
    'has an event same already',
  );
  expect(fullscript.addEvent({ clinic: 'New York', id: 'same' }).id).toBe('same');
});

for (const { clinics, because } of [
  { clinics: [], because: 'there would be none' },
  { clinics: ['New York', 'new-york'], because: 'their fixed tokens would be the same' },
  { clinics: ['…'], because: 'its fixed tokens would have no name' },
]) {
  test(`the clinics ${JSON.stringify(clinics)} are refused: ${because}`, () => {
    expect(() => vendor({ clinics })).toThrow(expect.objectContaining({ code: 'sandbox_clinics_invalid' }));
  });
}

test('a clinic whose name is not ASCII has fixed tokens that are', () => {
  expect(vendor({ clinics: ['Zürich Süd'] }).get('/api/clinic', 'sandbox-access-zurich-sud').status).toBe(
    200,
  );
});
