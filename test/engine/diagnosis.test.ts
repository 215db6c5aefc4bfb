import { describe, expect, test } from 'vitest';
import { suspicionsOf } from '../../src/engine/diagnosis.js';
import type { Ailment, Symptom } from '../../src/stores/symptoms/looking.js';
import type { Symptoms } from '../../src/stores/symptoms/symptoms.js';

const backup = { id: '20261121T020000Z', takenAt: new Date('2026-11-21T02:00:00Z'), postgres: true, base: true };

function suspected(
  ailing: Partial<Record<Symptom['service'], Ailment>>,
  { archived = false, withBackup = true, withBase = true } = {},
): string[] {
  const symptoms = Object.entries(ailing).map(([service, ailment]) => ({
    service,
    ailment,
    seen: `${service} ${ailment}`,
  }));
  const seen = {
    symptoms,
    well: [],
    counts: {},
    passedOver: [],
    backup: withBackup ? { ...backup, base: withBase } : undefined,
  } as Symptoms;
  return suspicionsOf(seen, archived).map((one) => `${one.scenario} ${one.confidence}`);
}

describe('the scenarios that fit', () => {
  test('are none while nothing ails', () => {
    expect(suspected({})).toEqual([]);
  });

  test('are none for a service that is merely stopped, or a login that is refused', () => {
    expect(suspected({ qdrant: 'stopped', novamem: 'unwell' })).toEqual([]);
    expect(suspected({ postgres: 'denied', qdrant: 'denied', falkordb: 'denied' })).toEqual([]);
  });

  test('are the whole cluster first, where every store is lost or away', () => {
    expect(suspected({ postgres: 'missing', qdrant: 'missing', falkordb: 'missing' })[0]).toBe(
      'whole-cluster-lost certain',
    );
    expect(suspected({ postgres: 'missing', qdrant: 'stopped', falkordb: 'silent' })[0]).toBe(
      'whole-cluster-lost likely',
    );
    expect(suspected({ postgres: 'stopped', qdrant: 'stopped', falkordb: 'stopped' })).toEqual([
      'whole-cluster-lost possible',
    ]);
  });

  test('are two where two disasters happened', () => {
    expect(suspected({ qdrant: 'missing', falkordb: 'fewer' })).toEqual([
      'qdrant-lost certain',
      'falkordb-lost likely',
    ]);
  });

  test('for a damaged Postgres hang on whether there is a dump', () => {
    expect(suspected({ postgres: 'unreadable' })).toEqual(['postgres-corrupt certain']);
    expect(suspected({ postgres: 'unreadable' }, { withBackup: false })).toEqual(['postgres-lost-no-backup certain']);
  });

  test('prove that nothing is lost, where a disk is full', () => {
    expect(suspected({ postgres: 'full' })).toEqual(['cross-check possible']);
    expect(suspected({ postgres: 'missing', qdrant: 'full' })).toEqual(['postgres-corrupt certain']);
  });

  test('for rows that are gone are a point in time first, where there is a WAL archive', () => {
    expect(suspected({ postgres: 'fewer' }, { archived: true })).toEqual([
      'postgres-point-in-time likely',
      'postgres-corrupt possible',
    ]);
    expect(suspected({ postgres: 'fewer' })).toEqual(['postgres-corrupt likely']);
    expect(suspected({ postgres: 'fewer' }, { archived: true, withBase: false })).toEqual([
      'postgres-corrupt likely',
      'postgres-point-in-time possible',
    ]);
  });
});
