import { expect, test } from 'vitest';
import { admin, apiUnderTest, ehr } from './relay.ts';

const path = '/v1/operational-events/test';

test('an operational event can be tried: the answer of its URL is the answer', async () => {
  const { ask, endpoint } = await apiUnderTest();
  expect(await ask('POST', path, { token: admin })).toMatchObject({
    status: 200,
    body: { taken: true, answer: 204 },
  });
  endpoint.operator = { taken: false, answer: 'refused' };
  expect(await ask('POST', path, { token: admin })).toMatchObject({
    status: 200,
    body: { taken: false, answer: 'refused' },
  });
});

test('without a URL for them it says what to set, and only an admin may ask', async () => {
  const { ask, endpoint } = await apiUnderTest();
  endpoint.operator = null;
  expect(await ask('POST', path, { token: admin })).toMatchObject({
    status: 409,
    body: { code: 'not_configured', hint: expect.stringContaining('operationalEvents.url') },
  });
  expect((await ask('POST', path, { token: ehr })).status).toBe(403);
});
