import { createCipheriv } from 'node:crypto';
import { chmod, lstat, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { deliveryIdOf } from '../../src/domain/delivery.ts';
import { realDisk } from '../../src/store/file/disk.ts';
import { writeLine } from '../../src/store/file/journal-line.ts';
import { kernelLock } from '../../src/store/file/lock.ts';
import { keyIdOf, seal, unseal } from '../../src/store/file/sealing.ts';
import { simulatedClock } from '../world/clock.ts';
import { folder, SimulatedDisk, seededRandom, storeOn } from '../world/disk.ts';
import { aClinic, accepted, anEvent, aSubscriber, claim, furnished, record, refused } from './fixtures.ts';

const noon = Date.parse('2026-11-22T12:00:00Z');
const keysPath = `${folder}/keys.json`;
const bodiesPath = `${folder}/bodies/2026-11-22.sealed`;
const partPath = `${folder}/journal/2026-11-22.jsonl`;

const canaries = {
  patient: 'Zoë Canary-Patient',
  signingSecret: 'canary-signing-secret-0123456789abcdef',
  challengeToken: 'canary-challenge-token',
  accessToken: 'canary-access-token',
  refreshToken: 'canary-refresh-token',
  tokenUrlSecret: 'canary-token-url-secret',
  excerpt: 'canary-of-an-answer',
};

const connection = {
  id: 'con_1',
  clinicId: 'clinic-1',
  name: 'Washington',
  origin: { kind: 'tokenUrl', url: 'https://app.example/token', secret: canaries.tokenUrlSecret },
  tokens: { accessToken: canaries.accessToken, refreshToken: canaries.refreshToken, expiresAt: 10 },
  spareTokens: { accessToken: `${canaries.accessToken}-2`, refreshToken: null, expiresAt: 5 },
  declaredDigest: null,
  state: 'working',
  stateReason: null,
  refreshedAt: null,
  createdAt: 0,
} as const;

/** A store that has seen everything that has to stay secret. */
async function filled(disk: SimulatedDisk) {
  const clock = simulatedClock(noon);
  const store = await storeOn(disk, clock);
  const secrets = [{ value: canaries.signingSecret, expiresAt: null }];
  await furnished(store, aSubscriber('sub_1', { secrets, challengeToken: canaries.challengeToken }));
  await store.saveConnection(connection);
  const body = (id: string) => `{"id":"${id}","data":{"name":"${canaries.patient}"}}`;
  await record(
    store,
    ['e1', 'e2', 'e3'].map((id) => anEvent(id, { body: body(id) })),
  );
  for (const claimed of await claim(store, 1)) {
    await store.recordAttempt(claimed, { ...refused, excerpt: `${canaries.excerpt} ${canaries.patient}` });
  }
  return { store, clock, body };
}

describe('what lies on the disk', () => {
  test('case 251: no patient, token, secret or excerpt can be read in any file of the folder', async () => {
    const disk = new SimulatedDisk();
    const { store } = await filled(disk);
    await store.close();
    disk.put(partPath, Buffer.concat([disk.contents(partPath), Buffer.from('torn')]));
    disk.take(`${folder}/checkpoint.json`);
    await storeOn(disk, simulatedClock(noon + 86_400_000));
    expect(disk.paths.length).toBeGreaterThan(6);
    for (const path of disk.paths) {
      const content = disk.contents(path);
      for (const [what, canary] of Object.entries(canaries)) {
        for (const encoding of ['utf8', 'base64', 'base64url', 'hex'] as const) {
          const seen = Buffer.from(canary).toString(encoding).slice(0, 12);
          expect(content.includes(seen), `${what} as ${encoding} in ${path}`).toBe(false);
        }
      }
    }
  });

  test('cases 191 and 253: a value that was moved to another record does not open', async () => {
    const key = { id: 'body-1', bytes: Buffer.alloc(32, 1) };
    const sealed = seal(Buffer.from('hers'), key, { kind: 'body', record: 'a' });
    expect(unseal(sealed, key, { kind: 'body', record: 'a' }).toString()).toBe('hers');
    expect(() => unseal(sealed, key, { kind: 'body', record: 'b' })).toThrow();
    expect(() => unseal(sealed, key, { kind: 'excerpt', record: 'a' })).toThrow();
    expect(() =>
      unseal(sealed, { ...key, bytes: Buffer.alloc(32, 2) }, { kind: 'body', record: 'a' }),
    ).toThrow();
  });

  test('case 253: no bit of a sealed value can be flipped', () => {
    const key = { id: 'body-1', bytes: Buffer.alloc(32, 1) };
    const sealedFor = { kind: 'body', record: 'a' } as const;
    const sealed = seal(Buffer.from('hers'), key, sealedFor);
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const flipped = Buffer.from(sealed);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(() => unseal(flipped, { ...key, id: keyIdOf(flipped) }, sealedFor), `bit ${bit}`).toThrow();
    }
  });

  test('case 253: a tag of 4 bytes is refused', () => {
    const key = { id: 'k', bytes: Buffer.alloc(32, 1) };
    const iv = Buffer.alloc(12, 3);
    const cipher = createCipheriv('aes-256-gcm', key.bytes, iv, { authTagLength: 4 });
    const head = Buffer.from([1, 1, 'k'.charCodeAt(0)]);
    cipher.setAAD(Buffer.concat([head, Buffer.from(JSON.stringify(['body', 'a']))]));
    const ciphertext = Buffer.concat([cipher.update(Buffer.alloc(40, 'x')), cipher.final()]);
    const short = Buffer.concat([head, iv, cipher.getAuthTag(), ciphertext]);
    expect(() => unseal(short, key, { kind: 'body', record: 'a' })).toThrow();
    expect(() => keyIdOf(short.subarray(0, 3 + 12 + 4))).toThrow(RangeError);
  });

  test('a line that was rewritten with right checksums is refused: only who has the key can write a commit', async () => {
    const disk = new SimulatedDisk();
    await filled(disk);
    const lines = disk.contents(partPath).toString().split('\n').slice(0, -1);
    let previous = '00000000';
    const forged = lines.map((line) => {
      const { c: _c, p: _p, s: sequence, b: batch, ...fact } = JSON.parse(line);
      const json = JSON.stringify(fact).replace('ehr.example', 'evil.example');
      const { text, checksum } = writeLine(json, { sequence, batch, previous });
      previous = checksum;
      return text;
    });
    disk.put(partPath, `${forged.join('\n')}\n`);
    await expect(storeOn(disk, simulatedClock(noon))).rejects.toThrow(/not written under this store's keys/);
  });
});

describe('the master key', () => {
  const other = Buffer.alloc(32, 8);
  const own = Buffer.alloc(32, 7);

  const snapshot = (disk: SimulatedDisk) =>
    Object.fromEntries(disk.paths.map((path) => [path, disk.contents(path).toString('base64')]));

  test('case 252: a wrong one is refused and nothing on the disk changes', async () => {
    const disk = new SimulatedDisk();
    await filled(disk);
    const before = snapshot(disk);
    for (const masterKeys of [
      { current: other, previous: null },
      { current: other, previous: Buffer.alloc(32, 9) },
    ]) {
      await expect(storeOn(disk, simulatedClock(noon), { masterKeys })).rejects.toMatchObject({
        code: 'wrong_master_key',
      });
    }
    expect(snapshot(disk)).toEqual(before);
  });

  test('case 252: a missing key file refuses the start', async () => {
    const disk = new SimulatedDisk();
    await filled(disk);
    disk.take(keysPath);
    await expect(storeOn(disk, simulatedClock(noon))).rejects.toThrow(/which is not there/);
    expect(disk.paths).not.toContain(keysPath);
  });

  test('case 254: a new one re-seals the data keys, after which the old one is not needed, and everything opens', async () => {
    const disk = new SimulatedDisk();
    const { body, clock } = await filled(disk);
    await storeOn(disk, clock, { masterKeys: { current: other, previous: own } });
    const store = await storeOn(disk, clock, { masterKeys: { current: other, previous: null } });
    expect(await store.eventBody('clinic-1', 'e1')).toBe(body('e1'));
    expect(await store.connections()).toEqual([connection]);
    expect((await store.subscribers()).subscribers[0]).toMatchObject({
      challengeToken: canaries.challengeToken,
    });
    expect((await store.attempts(deliveryIdOf('e1', 'sub_1')))[0]?.excerpt).toContain(canaries.excerpt);
    await expect(
      storeOn(disk, clock, { masterKeys: { current: own, previous: null } }),
    ).rejects.toMatchObject({ code: 'wrong_master_key' });
  });

  test('case 27: a crash in the middle of re-sealing leaves keys that open', async () => {
    const disk = new SimulatedDisk();
    const { body, clock } = await filled(disk);
    const left: SimulatedDisk[] = [];
    const masterKeys = { current: other, previous: own };
    disk.hook = () => {
      left.push(
        disk.kill(),
        disk.powerCut(() => 0.45),
        disk.powerCut(() => 0.75),
      );
      return null;
    };
    const store = await storeOn(disk, clock, { masterKeys });
    expect(store.recovery.isResealed).toBe(true);
    for (const each of left) {
      expect(await (await storeOn(each, clock, { masterKeys })).eventBody('clinic-1', 'e1')).toBe(body('e1'));
    }
  });

  test('case 27: once a start has re-sealed them, the old one can be dropped at once, whatever the power does', async () => {
    const disk = new SimulatedDisk();
    const { body, clock } = await filled(disk);
    await storeOn(disk, clock, { masterKeys: { current: other, previous: own } });
    const masterKeys = { current: other, previous: null };
    for (let seed = 0; seed < 20; seed++) {
      const store = await storeOn(disk.powerCut(seededRandom(seed)), clock, { masterKeys });
      expect(store.recovery.isResealed).toBe(false);
      expect(await store.eventBody('clinic-1', 'e1')).toBe(body('e1'));
    }
  });

  test('a damaged key file is refused, and said to be damaged', async () => {
    const disk = new SimulatedDisk();
    await filled(disk);
    const text = disk.contents(keysPath).toString();
    const at = text.indexOf('": "', text.indexOf('body-')) + 60;
    for (const damaged of [
      'x',
      '{"format":2,"keys":{}}',
      '{"format":1,"keys":{"a":1}}',
      '{"format":1}',
      '{"format":1,"keys":{"a":"AA=="}}',
      `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`,
    ]) {
      disk.put(keysPath, damaged);
      await expect(storeOn(disk, simulatedClock(noon)), damaged.slice(0, 30)).rejects.toMatchObject({
        code: 'keys_corrupt',
      });
    }
  });
});

describe('a damaged body', () => {
  const damageFirst = (disk: SimulatedDisk) => {
    const bytes = disk.contents(bodiesPath);
    bytes[50] = (bytes[50] as number) ^ 1;
    disk.put(bodiesPath, bytes);
  };

  test('ends its own delivery visibly, and the others are sent', async () => {
    const disk = new SimulatedDisk();
    const { clock, body } = await filled(disk);
    damageFirst(disk);
    const store = await storeOn(disk, clock);
    await clock.advance(60_000);
    const claims = await claim(store);
    expect(claims.map(({ event }) => event.body)).toEqual([body('e2'), body('e3')]);
    const lost = deliveryIdOf('e1', 'sub_1');
    expect(await store.delivery(lost)).toMatchObject({ state: 'failed', endReason: 'bodyLost', dueAt: null });
    for (const claimed of claims) await store.recordAttempt(claimed, accepted);
    expect(await claim(store)).toEqual([]);
    const again = await storeOn(disk.kill(), clock);
    expect(await again.delivery(lost)).toMatchObject({ state: 'failed', endReason: 'bodyLost' });
    await expect(again.eventBody('clinic-1', 'e1')).rejects.toMatchObject({
      code: 'body_unreadable',
      message: 'The body of event e1 cannot be read.',
    });
  });

  test('is the only thing that is lost: a damaged excerpt leaves its attempt in the list', async () => {
    const disk = new SimulatedDisk();
    const { store: before, clock } = await filled(disk);
    const deliveryId = deliveryIdOf('e1', 'sub_1');
    const [attempt] = await before.attempts(deliveryId);
    expect(attempt?.excerpt).toContain(canaries.excerpt);
    const bytes = disk.contents(bodiesPath);
    bytes[bytes.length - 5] = (bytes[bytes.length - 5] as number) ^ 1;
    disk.put(bodiesPath, bytes);
    const store = await storeOn(disk, clock);
    expect(await store.attempts(deliveryId)).toEqual([{ ...attempt, excerpt: null }]);
  });

  test('does not stop another clinic from recording the same event', async () => {
    const disk = new SimulatedDisk();
    const { clock, body } = await filled(disk);
    damageFirst(disk);
    const store = await storeOn(disk, clock);
    await store.saveClinic(aClinic('clinic-2', 'New York'));
    await store.follow('clinic-2', [{ category: 'orders', startAt: 0 }]);
    await record(store, [anEvent('e1', { body: body('e1') })], 'clinic-2');
    expect(await store.eventBody('clinic-2', 'e1')).toBe(body('e1'));
  });
});

describe('files and folders', () => {
  const made: string[] = [];
  afterEach(async () => {
    for (const path of made.splice(0)) await rm(path, { recursive: true, force: true });
  });

  const emptyFolder = async () => {
    const path = await mkdtemp(join(tmpdir(), 'relay-sealing-'));
    made.push(path);
    return path;
  };

  test('case 49: are for the owner alone, whatever the umask and however wide the folders were before', async () => {
    const umask = process.umask(0);
    try {
      const path = join(await emptyFolder(), 'data');
      const clock = simulatedClock(noon);
      for (const time of ['new', 'opened again']) {
        const store = await storeOn(realDisk, clock, { path, lock: kernelLock });
        await furnished(store, aSubscriber(`sub_${time}`, { name: time }));
        await store.close();
        const names = await readdir(path, { recursive: true });
        expect(names.length).toBeGreaterThan(6);
        for (const name of ['.', ...names]) {
          const status = await lstat(join(path, name));
          const expected = status.isDirectory() ? 0o700 : 0o600;
          expect((status.mode & 0o777).toString(8), `${name}, ${time}`).toBe(expected.toString(8));
          if (status.isDirectory()) await chmod(join(path, name), 0o777);
        }
      }
    } finally {
      process.umask(umask);
    }
  });

  for (const name of ['lock', 'journal/2026-11-22.jsonl', 'bodies/2026-11-22.sealed']) {
    test(`case 62: a symbolic link at ${name} is refused, and what it points to is left alone`, async () => {
      const path = await emptyFolder();
      const elsewhere = join(await emptyFolder(), 'elsewhere');
      await writeFile(elsewhere, 'mine');
      await realDisk.makeFolder(join(path, 'journal'));
      await realDisk.makeFolder(join(path, 'bodies'));
      await symlink(elsewhere, join(path, name));
      const opening = storeOn(realDisk, simulatedClock(noon), { path, lock: kernelLock });
      await expect(opening).rejects.toMatchObject({ code: 'store_unusable' });
      expect((await realDisk.read(elsewhere))?.toString()).toBe('mine');
    });
  }

  test('the real disk writes a tail again without changing it', async () => {
    const path = join(await emptyFolder(), 'file');
    const bytes = Buffer.alloc(9 * 1024 * 1024, 'abcdefg');
    await realDisk.writeNew(path, bytes);
    for (const from of [0, 5_000_000, bytes.length]) await realDisk.rewrite(path, from);
    expect((await realDisk.read(path))?.equals(bytes)).toBe(true);
  });
});
