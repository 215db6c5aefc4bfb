import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { forgetIdentity, knownIdentity, rememberIdentity } from '../../src/config/identities.js';
import { tempFolder } from '../support/temp.js';

let home: string;

beforeEach(() => {
  home = tempFolder('home');
  process.env.NOVAMEM_RUNBOOK_HOME = home;
});

const ADDRESSES = { postgres: 'db:5432', qdrant: 'http://qdrant:6333', falkordb: 'graph:6379' };

test('a cluster is remembered by what its profile has led to, the newest last, and forgotten with it', () => {
  expect(knownIdentity('acme')).toBeUndefined();
  for (const systemIdentifier of ['1', '2', '1', ''])
    rememberIdentity('acme', { addresses: ADDRESSES, systemIdentifier });
  const moved = { ...ADDRESSES, qdrant: 'http://other:6333' };
  rememberIdentity('other.one', { addresses: ADDRESSES, systemIdentifier: '9' });
  rememberIdentity('other.one', { addresses: moved, systemIdentifier: '' });
  expect(knownIdentity('acme')).toEqual({ addresses: ADDRESSES, systemIdentifiers: ['2', '1'] });
  forgetIdentity('acme');
  expect(knownIdentity('acme')).toBeUndefined();
  expect(knownIdentity('other.one')).toEqual({ addresses: moved, systemIdentifiers: ['9'] });
});

test.each([
  ['is cut off', '{"identities":'],
  ['is of another shape', '{"identities":{"acme":["1"]}}'],
])('what cannot be read lets nobody in: it %s', (_what, text) => {
  writeFileSync(join(home, 'identities.json'), text);
  expect(() => knownIdentity('acme')).toThrow(/Which clusters the profiles have led to cannot be read/);
});
