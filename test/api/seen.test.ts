import { expect, test } from 'vitest';
import { anEvent, furnished, record } from '../store/fixtures.ts';
import { admin, apiUnderTest } from './relay.ts';

test('an admin takes over ids of events, which are shown as imported and explained so', async () => {
  const { ask, store } = await apiUnderTest();
  await furnished(store);
  await record(store, [anEvent('e1', { subscriberIds: [], withheld: 'shadow' })]);
  const seen = (body: object, token = admin) => ask('POST', '/v1/seen', { body, token });
  const ids = { clinicId: 'clinic-1', eventIds: ['e1', 'e2'] };
  expect((await seen({ ...ids, dryRun: true })).body).toMatchObject({
    dryRun: true,
    recorded: 1,
    withheld: 1,
  });
  const states = async () =>
    (await ask('GET', '/v1/events', { token: admin })).body.data.map(
      (event: { state: string }) => event.state,
    );
  expect(await states()).toEqual(['shadow']);
  expect((await seen(ids)).body).toEqual({ dryRun: false, recorded: 1, withheld: 1, known: 0, owed: 0 });
  expect(await states()).toEqual(['imported', 'imported']);
  const why = await ask('GET', '/v1/events/e1/explain?subscriberId=sub_1', { token: admin });
  expect(why.body).toMatchObject({ because: 'imported' });
});

for (const { body, status, because } of [
  { body: { clinicId: 'clinic-9', eventIds: ['e1'] }, status: 404, because: 'an unknown clinic' },
  { body: { clinicId: 'clinic-1', eventIds: [] }, status: 400, because: 'no ids' },
  { body: { clinicId: 'clinic-1', eventIds: [7] }, status: 400, because: 'ids that are no text' },
  {
    body: { clinicId: 'clinic-1', eventIds: Array.from({ length: 1_001 }, String) },
    status: 400,
    because: 'more ids than one request takes',
  },
]) {
  test(`is refused: ${because}`, async () => {
    const { ask, store } = await apiUnderTest();
    await furnished(store);
    expect((await ask('POST', '/v1/seen', { body, token: admin })).status).toBe(status);
    expect((await ask('POST', '/v1/seen', { body })).status).toBe(403);
  });
}
