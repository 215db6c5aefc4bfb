import { expect, test } from 'vitest';
import { drillOverrides } from '../../src/engine/drill-overrides.js';
import { loadRunbook } from '../../src/runbook/library.js';

test('a drill asks more of a backup set than an outage does; what was given by hand holds', () => {
  const strict = drillOverrides('whole-cluster-lost', { 'restore-postgres': { strategy: 'swap' } });
  expect(strict).toEqual({
    'restore-postgres': { strategy: 'swap' },
    compare: { required: true },
    'cross-check': { strict: true },
    recall: { strict: true },
  });
  const paramsOf = (id: string) =>
    loadRunbook('whole-cluster-lost', strict).steps.find((step) => step.id === id)!.params;
  expect(paramsOf('compare')).toMatchObject({ required: true });
  expect(paramsOf('cross-check')).toMatchObject({ strict: true });
  expect(drillOverrides('whole-cluster-lost', { 'cross-check': { strict: false } })['cross-check']).toEqual({
    strict: false,
  });
});
