import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { requireDrillable } from '../../src/engine/drillable.js';
import { loadRunbook } from '../../src/runbook/library.js';
import { tempFolder } from '../support/temp.js';

const refusal =
  (scenario: string, overrides = {}) =>
  () =>
    requireDrillable(loadRunbook(scenario, overrides), 'acme-prod');

/** A runbook that restores Qdrant alone, and what else. */
function qdrantAlone(more: string): string {
  const file = join(tempFolder('runbook'), 'vectors.yaml');
  writeFileSync(
    file,
    `title: Vectors\nwhen: now\noutcome: Vectors.\nsteps:\n  - { id: vectors, uses: qdrant.restore, why: Vectors. }\n${more}`,
  );
  return file;
}

describe('in a drill', () => {
  test('the whole may be restored, and a part of it on which novamem is not started', () => {
    expect(refusal('whole-cluster-lost')).not.toThrow();
    expect(refusal(qdrantAlone(''))).not.toThrow();
  });

  test.each([
    ['qdrant-lost', { way: { answer: 'snapshots' } }, 'no Postgres and no FalkorDB'],
    ['falkordb-lost', { way: { answer: 'files' } }, 'no Postgres and no Qdrant'],
    ['falkordb-lost', {}, 'no Postgres and no Qdrant'],
    ['postgres-corrupt', {}, 'no Qdrant and no FalkorDB'],
    ['postgres-point-in-time', {}, 'no Postgres and no Qdrant and no FalkorDB'],
    ['drill', {}, 'no Postgres and no Qdrant and no FalkorDB'],
  ])('%s %j is refused, and what to do instead is said', (scenario, overrides, missing) => {
    expect(refusal(scenario, overrides)).toThrow(
      expect.objectContaining({
        message: expect.stringContaining(`${scenario} cannot be drilled: a drill begins with an empty cluster`),
        next: expect.stringMatching(/drill --profile acme-prod --keep, then novamem-runbook sandbox break/),
      }),
    );
    expect(refusal(scenario, overrides)).toThrow(missing);
  });

  test('novamem is not started on a part, and nobody is there to answer', () => {
    const start = '  - { id: start, uses: service.start, with: { service: novamem }, why: Users. }\n';
    const ask = '  - { id: sure, uses: operator.confirm, with: { question: Sure?, words: sure }, why: Ask. }\n';
    expect(refusal(qdrantAlone(start))).toThrow('restores no Postgres and no FalkorDB');
    expect(refusal(qdrantAlone(ask))).toThrow('asks at sure, and nobody is there to answer');
  });
});
