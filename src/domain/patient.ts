/**
 * Whether an event is about a patient, or names one: anywhere in its data a `patient`
 * with that id, or a field such as `patient_id` or `guardian_patient_id` that holds it.
 * An event that cannot be read as JSON is about nobody.
 *
 * Source: Fullscript, the sample payloads of its webhooks: `order.placed` has
 * `patient_id`, `lab_order.updated` `lab_order.patient_id`, treatment plans
 * `treatment_plan.patient.id`, `patient.*` `patient.id`; `patient.emancipated` also names
 * the guardian.
 */
export function concernsPatient(eventText: string, patientId: string): boolean {
  let event: unknown;
  try {
    event = JSON.parse(eventText);
  } catch {
    return false;
  }
  // A list of what is still to be looked at: nesting of any depth overflows no stack.
  const open: unknown[] = [event];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    for (const [key, inner] of Object.entries(value)) {
      if (/(^|_)patient_id$/.test(key) && isId(inner, patientId)) return true;
      if (/^patients?$/.test(key) && [inner].flat().some((each) => isId(idIn(each), patientId))) return true;
      if (inner !== undefined && inner !== null) open.push(inner);
    }
  }
  return false;
}

function idIn(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'id' in value ? value.id : value;
}

function isId(value: unknown, patientId: string): boolean {
  return (typeof value === 'string' || typeof value === 'number') && String(value) === patientId;
}
