import { describe, expect, test } from 'vitest';
import { postgresBackup } from '../../../src/steps/postgres/backup.js';
import { dumpsIntoBucket } from '../../support/dump-into-bucket.js';
import { httpAnswer } from '../../support/faulty-proxy.js';
import { findings, perform, unequal } from '../../support/sandbox.js';

// A dump that pg_dump writes straight into a bucket.

const { proxy, newBackup, dumpOf, asked } = dumpsIntoBucket();

describe('a dump for a bucket', () => {
  test('is planned as one command that a person could paste, and asks for no room here', async () => {
    const ctx = newBackup('planned');
    const { commands } = await postgresBackup.plan(postgresBackup.params.parse({}), ctx);
    expect(commands).toEqual([
      expect.stringMatching(
        /pg_dump (?!.*--file).*--format custom .* \| aws --endpoint-url \S+ .*s3 cp - s3:\S+planned\/postgres\/novamem\.dump$/,
      ),
    ]);
    const found = await findings(postgresBackup, {}, ctx);
    expect(found).toContainEqual(`info: the dump goes straight to ${ctx.newBackup!.to}, and takes no room here`);
    expect(found.filter((one) => one.includes('are free'))).toEqual([]);
  });

  test('is there as a whole, was read back once, and holds what the snapshot held', async () => {
    const ctx = newBackup('well');
    const { error, facts, output } = await perform(postgresBackup, {}, ctx);
    expect(error).toBeUndefined();
    expect(asked(/^GET .*well\/postgres\/novamem\.dump/).length).toBe(1);
    expect(await dumpOf('well')).toBe(facts.part!.bytes);
    expect(output.at(-1)).toMatch(/were read back from s3:.*: they are what was sent, with [\d,]+ rows in them$/);
    expect(await unequal(postgresBackup, {}, ctx, facts)).toEqual([]);
    expect(await postgresBackup.probe({} as never, ctx, facts)).toBe('done');
  });

  test('that is there and could not be read back is only read back by the next attempt', async () => {
    const ctx = newBackup('unread');
    await proxy().become({
      kind: 'answers',
      to: /^GET [^?]*novamem\.dump/,
      answer: httpAnswer(403, '<Error><Code>AccessDenied</Code></Error>', { type: 'application/xml' }),
    });
    const first = await perform(postgresBackup, {}, ctx);
    await proxy().become();
    expect(first.error?.message).toMatch(/^Tried to read s3:.*novamem\.dump.*refuses it/);
    expect(await postgresBackup.probe({} as never, ctx, first.facts)).toBe('partial');
    const second = await perform(postgresBackup, {}, { ...ctx, earlier: { ...first.facts } });
    expect(second.output[0]).toMatch(/^the dump of .* is in s3:.* already; what is left is to read it back$/);
    const facts = { ...first.facts, ...second.facts };
    expect(await unequal(postgresBackup, {}, ctx, facts)).toEqual([]);
    expect(asked(/^PUT .*unread\/postgres/).length).toBe(1);
  });

  test('that is another one there than was sent is removed there, and the next attempt takes another', async () => {
    const ctx = newBackup('altered');
    await proxy().become({
      kind: 'answers',
      to: /^GET [^?]*novamem\.dump/,
      answer: httpAnswer(200, 'no dump at all', { type: 'binary' }),
    });
    const first = await perform(postgresBackup, {}, ctx);
    await proxy().become();
    expect(first.error?.message).toMatch(/novamem\.dump is not what was sent there: its SHA-256 is .* retry$/);
    expect(await dumpOf('altered')).toBeUndefined();
    const second = await perform(postgresBackup, {}, { ...ctx, earlier: { ...first.facts } });
    expect(second.error).toBeUndefined();
    expect(await dumpOf('altered')).toBe(second.facts.part!.bytes);
  });
});
