import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { postgresRawCopy, type RawCopyFacts } from '../../../src/steps/postgres/raw-copy.js';
import { postgresSalvage } from '../../../src/steps/postgres/salvage.js';
import { type PostgresElsewhere, postgresElsewhere } from '../../support/postgres-elsewhere.js';
import { findings, perform, unequal } from '../../support/sandbox.js';
import { whyNoSshServer } from '../../support/ssh-server.js';

// What is left of a data directory on another host, copied from there over a real SSH server and salvaged here.

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const missing = whyNoSshServer();

describe.skipIf(missing)(`a data directory over SSH${missing ? ` (not run here: ${missing})` : ''}`, () => {
  let there: PostgresElsewhere;
  beforeAll(async () => {
    there = await postgresElsewhere();
    await there.sql("CREATE TABLE story AS SELECT n AS id, 'row ' || n AS text FROM generate_series(1, 500) n");
    await there.sql('CHECKPOINT');
  });
  afterAll(() => {
    if (!missing && there.listed(there.dataDir).includes('postmaster.pid')) there.stop();
  });

  test('is not copied while a server runs on it', async () => {
    const ctx = there.context();
    expect((await findings(postgresRawCopy, {}, ctx)).join('\n')).toMatch(
      /blocking: Postgres \(process \d+\) runs on \/run\/there\/pg\/main on db-1: a copy of it would be torn/,
    );
    expect((await perform(postgresRawCopy, {}, ctx)).error?.message).toMatch(/a copy of it would be torn/);
  });

  test('is copied as it is, gone on with where the connection was cut, and every row is got out of the copy here', async () => {
    there.stop();
    const ctx = there.context();
    const before = there.host.run(`cd ${there.dataDir} && find . -type f -exec sha256sum {} + | sort`);
    expect((await findings(postgresRawCopy, {}, ctx)).filter((line) => !line.startsWith('info'))).toEqual([]);
    let isCut = false;
    const cutting = async () => {
      const given = postgresRawCopy.params.parse({});
      for await (const event of postgresRawCopy.run(given, ctx, new AbortController().signal))
        if (event.type === 'progress' && event.text.startsWith('copying') && event.done > 8_000_000 && !isCut) {
          isCut = true;
          await there.host.cut();
        }
    };
    await expect(cutting()).rejects.toThrow(/^db-1 cannot be reached, or the connection to it was cut/);
    const copied = await perform(postgresRawCopy, {}, ctx);
    expect(copied.error).toBeUndefined();
    expect(await unequal(postgresRawCopy, {}, ctx, copied.facts)).toEqual([]);
    const { copy } = copied.facts as RawCopyFacts;
    expect(copied.safetyCopies).toEqual([{ of: `data directory ${there.dataDir} on db-1`, at: copy }]);
    const line = `cd '${copy}' && find . -type f -exec sha256sum {} + | sort`;
    expect(execFileSync('sh', ['-c', line], { encoding: 'utf8' })).toBe(before);
    const salvaging = { ...ctx, factsOf: () => [copied.facts] } as typeof ctx;
    const salvaged = await perform(postgresSalvage, {}, salvaging);
    expect(salvaged.error).toBeUndefined();
    expect(await unequal(postgresSalvage, {}, salvaging, salvaged.facts)).toEqual([]);
    expect(salvaged.facts.tables).toEqual([expect.objectContaining({ table: 'public.story', rows: 500, lost: [] })]);
    expect(readFileSync(salvaged.facts.dump!).length).toBeGreaterThan(1_000);
  });
});
