import { beforeEach, describe, expect, test } from 'vitest';
import { postgresRestore } from '../../../src/steps/postgres/restore.js';
import { damagedPostgres } from '../../support/damaged-postgres.js';
import { findings, follow, perform } from '../../support/sandbox.js';

// What a restore onto a database that is really damaged does where a copy of it was waived, and where its catalogs are damaged.

const { real, backup, damage, examined, notEqual } = damagedPostgres();

describe('restoring onto a damaged table', () => {
  beforeEach(() => damage('memory_entries', [2, 4]));

  test('with clean goes on without one where that was waived: recorded, an exception, and no undo', async () => {
    const ctx = await examined();
    const waived = { sessions: 'end', safetyCopy: 'waived' };
    expect(await findings(postgresRestore, waived, ctx)).toContainEqual(
      expect.stringMatching(/^warning: pg_dump cannot read .* WITHOUT a way back \(waived\)$/),
    );
    const { facts, error, output, safetyCopies } = await perform(postgresRestore, waived, ctx);
    expect(error).toBeUndefined();
    expect(await notEqual()).toEqual([]);
    expect(safetyCopies).toEqual([]);
    expect(facts.waived).toMatch(/pg_dump ended with 1: .*invalid page/);
    expect(output).toContainEqual(expect.stringMatching(/^WITHOUT A SAFETY COPY, as was asked for/));
    expect(postgresRestore.conclusion!(facts)).toEqual({
      text: expect.stringMatching(/replaced without a safety copy/),
      exception: true,
    });
    const undone = await follow(postgresRestore.undo!(postgresRestore.params.parse(waived), ctx, facts));
    expect(undone.error?.message).toMatch(/no safety copy to put back: it was waived/);
    expect(await notEqual()).toEqual([]);
  });
});

test('a waiver takes no copy away from where one can be made', async () => {
  const ctx = real().context({ backup: backup() });
  const { facts, safetyCopies } = await perform(postgresRestore, { sessions: 'end', safetyCopy: 'waived' }, ctx);
  expect(facts.waived).toBeUndefined();
  expect(safetyCopies.map(({ at }) => at)).toEqual([facts.safetyDump]);
});

test('where the catalogs of the database are damaged swap goes past them, clean is blocked', async () => {
  await damage('pg_class', [0, 1, 2]);
  const ctx = await examined();
  expect(await findings(postgresRestore, {}, ctx)).toContainEqual(
    expect.stringMatching(/^blocking: the catalogs of the database are damaged/),
  );
  const said = await findings(postgresRestore, { strategy: 'swap' }, ctx);
  expect(said.filter((line) => line.startsWith('blocking'))).toEqual([]);
  const plan = await postgresRestore.plan(postgresRestore.params.parse({ strategy: 'swap' }), ctx);
  expect(plan.destroys).toEqual([expect.stringMatching(/^all of .*catalogs are damaged/)]);
  const { error } = await perform(postgresRestore, { strategy: 'swap', sessions: 'end' }, ctx);
  expect(error).toBeUndefined();
  expect(await notEqual()).toEqual([]);
});
