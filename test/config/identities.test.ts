import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { forgetIdentities, knownIdentities, rememberIdentity } from '../../src/config/identities.js';
import { tempFolder } from '../support/temp.js';

let home: string;

beforeEach(() => {
  home = tempFolder('home');
  process.env.NOVAMEM_RUNBOOK_HOME = home;
});

test('a cluster is remembered by what its profile has led to, the newest last, and forgotten with it', () => {
  expect(knownIdentities('acme')).toEqual([]);
  for (const one of ['1', '2', '1', '']) rememberIdentity('acme', one);
  rememberIdentity('other.one', '9');
  expect(knownIdentities('acme')).toEqual(['2', '1']);
  forgetIdentities('acme');
  expect([knownIdentities('acme'), knownIdentities('other.one')]).toEqual([[], ['9']]);
});

test('what cannot be read lets nobody in', () => {
  writeFileSync(join(home, 'identities.json'), '{"identities":');
  expect(() => knownIdentities('acme')).toThrow(/Which clusters the profiles have led to cannot be read/);
});
