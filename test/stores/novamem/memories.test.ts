import { describe, expect, test } from 'vitest';
import { collectionNames, expectedCollections, type Scope } from '../../../src/stores/novamem/memories.js';

const scope = (user: string, project: string | null, namespace: string, memories: number): Scope => ({
  user,
  project,
  namespace,
  memories,
});
const SCOPES = [
  scope('ann', null, 'default', 5),
  scope('ann', 'atlas', 'default', 3),
  scope('bob', null, 'notes', 2),
];

test('a collection is named by its project, else by its user, in the way of either version', () => {
  expect(SCOPES.map((one) => collectionNames(one, 'novamem_'))).toEqual([
    ['novamem_u_ann_default', 'novamem_ann_default'],
    ['novamem_p_atlas_default'],
    ['novamem_u_bob_notes', 'novamem_bob_notes'],
  ]);
});

describe('what each collection should hold', () => {
  const expected = (...there: string[]) => expectedCollections(SCOPES, 'novamem_', there);

  test('is told by Postgres, also for one that is missing, which is called as its neighbours are', () => {
    expect(expected('novamem_ann_default', 'novamem_p_atlas_default')).toEqual({
      novamem_ann_default: 5,
      novamem_p_atlas_default: 3,
      novamem_bob_notes: 2,
    });
    expect(expected('novamem_u_ann_default')).toEqual({
      novamem_u_ann_default: 5,
      novamem_p_atlas_default: 3,
      novamem_u_bob_notes: 2,
    });
  });

  test('adds up what the members of a project wrote', () => {
    const scopes = [...SCOPES, scope('bob', 'atlas', 'default', 4)];
    expect(expectedCollections(scopes, 'novamem_', ['novamem_p_atlas_default'])).toMatchObject({
      novamem_p_atlas_default: 7,
    });
  });

  test('cannot be told where collections have other names, or where there is none', () => {
    expect(expected('novamem_tenant7')).toBeUndefined();
    expect(expected('novamem_u_ann_default', 'novamem_tenant7')).toBeUndefined();
    expect(expected()).toBeUndefined();
  });
});
