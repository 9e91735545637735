import { describe, expect, test } from 'vitest';
import { concernsPatient } from '../../src/domain/patient.ts';

const id = '9d3e2b60-7777-4888-8999-aaabbbcccddd';

describe('an event is about a patient', () => {
  for (const { data, is, because } of [
    { data: { patient: { id, first_name: 'Zoë' } }, is: true, because: 'patient.created wraps the patient' },
    { data: { id: '77aa', patient_id: id }, is: true, because: 'order.placed is the order itself' },
    { data: { lab_order: { id: '1', patient_id: id } }, is: true, because: 'lab_order.updated names it' },
    { data: { treatment_plan: { patient: { id } } }, is: true, because: 'a plan is made for somebody' },
    { data: { patient: { id: 'x', guardian_patient_id: id } }, is: true, because: 'a guardian is named' },
    { data: { patients: [{ id: 'x' }, { id }] }, is: true, because: 'one of several' },
    { data: { patient: id }, is: true, because: 'only an id, where an object is expected' },
    { data: { patient: { id: 'x' } }, is: false, because: 'it is somebody else' },
    { data: { id, practitioner_ids: [id] }, is: false, because: 'the id is of another thing' },
    { data: { note: `about ${id}` }, is: false, because: 'a word in a text is no field' },
    { data: { impatient_id: id }, is: false, because: 'the field is called otherwise' },
  ]) {
    test(`${is ? '' : 'not '}with ${JSON.stringify(data)}: ${because}`, () => {
      expect(concernsPatient(JSON.stringify({ id: 'e1', type: 'x', data }), id)).toBe(is);
    });
  }

  test('with an id that is a number, or is written with escapes', () => {
    expect(concernsPatient('{"data":{"patient_id":42}}', '42')).toBe(true);
    expect(concernsPatient('{"data":{"p\\u0061tient_id":"\\u0034\\u0032"}}', '42')).toBe(true);
  });

  test('at any depth, and never when it is no JSON', () => {
    const deep = `${'{"a":'.repeat(5_000)}{"patient_id":"42"}${'}'.repeat(5_000)}`;
    expect(concernsPatient(deep, '42')).toBe(true);
    expect(concernsPatient('{"patient_id":"42"', '42')).toBe(false);
  });
});
