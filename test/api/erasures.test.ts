import { beforeEach, describe, expect, test } from 'vitest';
import { Eraser, type ErasureJob } from '../../src/delivery/eraser.ts';
import { StoreUnavailable } from '../../src/domain/errors.ts';
import { silentLogger } from '../../src/logger.ts';
import { accepted, anEvent, aSubscriber, claim, furnished, record } from '../store/fixtures.ts';
import { type ApiUnderTest, admin, apiUnderTest, ehr } from './relay.ts';

let api: ApiUnderTest;
beforeEach(async () => {
  api = await apiUnderTest();
  await furnished(api.store, aSubscriber('sub_1', { owner: 'ehr' }));
  const about = (id: string, patient: string) =>
    anEvent(id, { body: `{"id":"${id}","data":{"patient":{"id":"${patient}"}}}` });
  await record(api.store, [about('evt_1', 'ana'), about('evt_2', 'ben')]);
});

const ask = (method: string, path: string, body?: unknown, token = admin) =>
  api.ask(method, path, { token, ...(body !== undefined && { body }) });

async function ended(body: Record<string, unknown>) {
  const begun = await ask('POST', '/v1/erasures', { patientId: 'ana', ...body });
  expect(begun).toMatchObject({ status: 202, body: { state: 'running', by: 'operator', result: null } });
  for (let looks = 0; looks < 1_000; looks++) {
    const { body: erasure } = await ask('GET', `/v1/erasures/${begun.body.id}`);
    if (erasure.state !== 'running') return erasure;
  }
  throw new Error('the erasure does not end');
}

const bodyOf = async (id: string) => (await ask('GET', `/v1/events/${id}`)).body.body;

describe('an erasure', () => {
  test('as a dry run counts', async () => {
    expect(await ended({ dryRun: true })).toMatchObject({
      state: 'done',
      dryRun: true,
      result: { erased: false, events: 1, open: 1 },
    });
  });

  test('erases nothing while a delivery is open, and ends it with cancelOpen', async () => {
    expect(await ended({})).toMatchObject({ result: { erased: false, open: 1 } });
    expect(await bodyOf('evt_1')).not.toBeNull();
    const { result } = await ended({ cancelOpen: true });
    expect(result).toMatchObject({ erased: true, events: 1, ended: 1 });
    expect(result.note).toContain('Backups');
    expect(await bodyOf('evt_1')).toBeNull();
    expect(await bodyOf('evt_2')).not.toBeNull();
    const { body } = await ask('GET', '/v1/deliveries?eventId=evt_1');
    expect(body.data[0]).toMatchObject({ state: 'failed', endReason: 'erased' });
    expect((await ask('GET', `/v1/deliveries/${body.data[0].id}/explain`)).body.explanation).toContain(
      'erased',
    );
    const replayed = await ask('POST', `/v1/deliveries/${body.data[0].id}/replay`);
    expect(replayed).toMatchObject({ status: 409, body: { code: 'event_erased' } });
  });

  test('keeps to a clinic, by its id or name', async () => {
    for (const each of await claim(api.store)) await api.store.recordAttempt(each, accepted);
    expect((await ask('POST', '/v1/erasures', { patientId: 'ana', clinicId: 'nowhere' })).status).toBe(404);
    expect(await ended({ clinicId: 'Washington' })).toMatchObject({
      clinicId: 'clinic-1',
      result: { erased: true, events: 1 },
    });
  });

  test('says nothing of the patient in what it answers, logs and puts on record', async () => {
    await ended({ cancelOpen: true });
    expect(JSON.stringify([api.logged, await api.store.jobs()])).not.toContain('ana"');
  });

  for (const body of [
    {},
    { patientId: '' },
    { patientId: 7 },
    { patientId: 'a', dryRun: 'yes' },
    { patient: 'a' },
  ]) {
    test(`asked as ${JSON.stringify(body)} is refused`, async () => {
      expect(await ask('POST', '/v1/erasures', body)).toMatchObject({
        status: 400,
        body: { code: 'invalid_body' },
      });
    });
  }

  test('needs the scope admin, and one that there is not is not found', async () => {
    expect((await ask('POST', '/v1/erasures', { patientId: 'ana' }, ehr)).status).toBe(403);
    expect((await ask('GET', '/v1/erasures/ers_none', undefined, ehr)).status).toBe(403);
    expect((await ask('GET', '/v1/erasures/ers_none')).status).toBe(404);
  });
});

describe('the eraser', () => {
  const eraser = (over: Partial<ApiUnderTest['store']> = {}) =>
    new Eraser({
      store: { ...api.store, ...over },
      clock: api.clock,
      logger: silentLogger,
      onFatal: (error) => expect.fail(String(error)),
    });
  const asked = { clinicId: null, endsOpen: false, isDryRun: false };
  const full = new StoreUnavailable('disk_full', 'The disk is full.', { hint: 'Make room.' });
  const delivered = async () => {
    for (const each of await claim(api.store)) await api.store.recordAttempt(each, accepted);
  };
  /** The job, once a rule says yes to it; the store writes to a real disk meanwhile. */
  const jobOnce = async (of: Eraser, id: string, isSo: (job: ErasureJob | null) => boolean) => {
    for (let looks = 0; looks < 100_000; looks++) {
      const job = await of.find(id);
      if (isSo(job)) return job;
      await api.clock.advance(0);
    }
    throw new Error('the erasure does not come so far');
  };
  const ended = (of: Eraser, id: string) => jobOnce(of, id, (job) => job?.state !== 'running');
  const waits = (job: ErasureJob | null) => job !== null && job.progress.problem !== null;

  test('runs one at a time, and halted before it is on record leaves it to the next start to say so', async () => {
    const endless = eraser({
      erase: ({ signal }) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    });
    const { id } = await endless.begin('ana', asked, 'operator');
    await expect(endless.begin('ben', asked, 'operator')).rejects.toMatchObject({ code: 'erasure_running' });
    await endless.stop();
    const next = eraser();
    await next.start();
    expect(await next.find(id)).toMatchObject({ state: 'cancelled', progress: { found: null } });
    expect((await ask('GET', `/v1/erasures/${id}`)).body).toMatchObject({
      state: 'cancelled',
      problem: expect.stringContaining('ask for it again'),
    });
  });

  for (const { step, found } of [
    { step: 'erase', found: null },
    { step: 'removeErased', found: { isErased: true, events: 1 } },
  ] as const) {
    test(`waits while the disk is full at ${step}, says so, and goes on after a minute`, async () => {
      await delivered();
      let isFull = true;
      const put = api.store[step] as (given: unknown) => Promise<unknown>;
      const waiting = eraser({
        [step]: (given: unknown) => (isFull ? Promise.reject(full) : put(given)),
      });
      const { id } = await waiting.begin('ana', asked, 'operator');
      const progress = { problem: 'The disk is full.', found: found && expect.objectContaining(found) };
      expect(await jobOnce(waiting, id, waits)).toMatchObject({ state: 'running', progress });
      isFull = false;
      await api.clock.advance(60_000);
      expect(await ended(waiting, id)).toMatchObject({ state: 'done', progress: { problem: null } });
      expect(await bodyOf('evt_1')).toBeNull();
    });
  }

  test('goes on at the next start with what is on record', async () => {
    await delivered();
    const halted = eraser({ removeErased: () => Promise.reject(full) });
    const { id } = await halted.begin('ana', asked, 'operator');
    await jobOnce(halted, id, waits);
    await halted.stop();
    expect(await api.store.job(id)).toMatchObject({ state: 'running', progress: { found: { events: 1 } } });
    const next = eraser();
    await next.start();
    await expect(next.begin('ben', asked, 'operator')).rejects.toMatchObject({ code: 'erasure_running' });
    expect(await ended(next, id)).toMatchObject({ state: 'done' });
  });

  test('that meets a fault on the disk says so, and that the events are erased all the same', async () => {
    await delivered();
    const faulty = eraser({ removeErased: () => Promise.reject(new TypeError('of the program')) });
    const { id } = await faulty.begin('ana', asked, 'operator');
    expect(await ended(faulty, id)).toMatchObject({
      state: 'cancelled',
      progress: { found: { isErased: true }, problem: expect.stringContaining('fault of its own') },
    });
    expect(await bodyOf('evt_1')).toBeNull();
  });
});
