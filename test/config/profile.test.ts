import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { profileSchema } from '../../src/config/profile.js';
import { readProfile } from '../../src/config/profiles.js';
import { Problem } from '../../src/problem.js';
import { tempFolder } from '../support/temp.js';

const WHOLE = `name: acme-prod
production: true
postgres:
  url: postgres://novamem@db:5432/novamem
  passwordFrom: env:POSTGRES_PASSWORD
qdrant:
  url: http://qdrant:6333
falkordb:
  url: redis://graph:6379
services:
  novamem: { driver: command, start: "systemctl start novamem", stop: "systemctl stop novamem" }
backups: [ /backups/novamem ]
`;

function fileOf(text: string): string {
  const file = join(tempFolder('profile'), 'acme.yaml');
  writeFileSync(file, text);
  return file;
}

/** The faults of a profile as `line:column: message`. */
function faults(text: string): string[] {
  const file = fileOf(text);
  try {
    readProfile(file);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return error.message
      .split('\n')
      .slice(1)
      .map((line) => line.trim().slice(file.length + 1));
  }
  return [];
}

describe('a profile', () => {
  test('is read with its defaults', () => {
    const profile = readProfile(fileOf(WHOLE));
    expect(profile).toMatchObject({
      name: 'acme-prod',
      production: true,
      qdrant: { collectionPrefix: 'novamem_' },
      falkordb: { graph: 'novamem' },
      backups: ['/backups/novamem'],
    });
    expect(profile.novamem).toBeUndefined();
  });

  test('takes a pg_restore beside the server only where it says which host that is', () => {
    const base = { name: 'a', qdrant: { url: 'http://q:6333' }, falkordb: { url: 'redis://f:6379' } };
    const given = { ...base, postgres: { url: 'postgres://p:5432/n', besideServer: {} } };
    expect(profileSchema.safeParse(given).error?.issues).toEqual([
      expect.objectContaining({
        path: ['postgres', 'besideServer'],
        message: 'needs hosts.postgres: on this machine pg_restore runs without it',
      }),
    ]);
    const { postgres } = profileSchema.parse({ ...given, hosts: { postgres: { ssh: 'db-1' } } });
    expect(postgres.besideServer).toEqual({ host: '127.0.0.1', folder: '/var/tmp' });
  });

  test('says of a store elsewhere how it is driven: programs of this machine are not there', () => {
    const elsewhere = `${WHOLE}hosts: { falkordb: { ssh: ops@graph-1 } }\n`;
    expect(readProfile(fileOf(elsewhere)).hosts.falkordb).toEqual({ ssh: 'ops@graph-1', sudo: false });
    const process = '{ driver: process, command: [redis-server], folder: /f, pidFile: /p, log: /l }';
    expect(faults(elsewhere.replace('services:', `services:\n  falkordb: ${process}`))).toEqual([
      expect.stringMatching(/process starts programs of this machine, and hosts\.falkordb is another/),
    ]);
  });

  test('need not say that it is not production', () => {
    expect(readProfile(fileOf(WHOLE.replace('production: true\n', ''))).production).toBe(false);
  });
});

describe('a profile is refused, with line and column, when', () => {
  test('it holds a password in a URL; the password is not repeated', () => {
    const said = faults(WHOLE.replace('novamem@db', 'novamem:hunter2@db'));
    expect(said).toEqual([expect.stringMatching(/^4:8: postgres\.url: holds a password; .*passwordFrom/)]);
    expect(said.join()).not.toContain('hunter2');
  });

  test('a secret is a value', () => {
    expect(faults(WHOLE.replace('env:POSTGRES_PASSWORD', 'hunter2'))).toEqual([
      expect.stringMatching(/^5:17: postgres\.passwordFrom: a secret is a reference, never a value/),
    ]);
  });

  test('it has a key that is not known', () => {
    expect(faults(WHOLE.replace('production: true', 'productoin: true'))).toEqual(['2:1: unknown key "productoin"']);
  });

  test('a URL is of another kind', () => {
    expect(faults(WHOLE.replace('redis://graph', 'http://graph'))).toEqual([
      expect.stringMatching(/^9:8: falkordb\.url: begins with http:\/\/ but must begin with redis:/),
    ]);
  });

  test.each<[string, (whole: string) => string, RegExp]>([
    [
      'a CA beside a plain URL',
      (whole) => whole.replace('http://qdrant:6333', 'http://qdrant:6333\n  caFile: /ca.pem'),
      /^8:11: qdrant\.caFile: has no effect with http:\/\/, .* say https:\/\//,
    ],
    [
      'a certificate without its key',
      (whole) => whole.replace('redis://graph:6379', 'rediss://graph:6379\n  certFile: /c.pem'),
      /^10:13: falkordb\.certFile: needs keyFile beside it/,
    ],
    [
      'a mode that is none',
      (whole) => whole.replace('/novamem\n', '/novamem?sslmode=no-verify\n'),
      /^4:8: postgres\.url: sslmode "no-verify" is unknown; it is one of disable, allow, prefer, require, verify-ca, verify-full/,
    ],
    [
      'a word of TLS that has no effect',
      (whole) => whole.replace('/novamem\n', '/novamem?sslmode=require&sslcrl=/crl.pem\n'),
      /^4:8: postgres\.url: "sslcrl" has no effect here/,
    ],
    [
      'a CA that would not keep from going on',
      (whole) => whole.replace('/novamem\n', '/novamem?sslmode=prefer\n  caFile: /ca.pem\n'),
      /^5:11: postgres\.caFile: with sslmode=prefer a server with another certificate would be talked to without TLS/,
    ],
    [
      'a CA twice',
      (whole) => whole.replace('/novamem\n', '/novamem?sslrootcert=/a.pem\n  caFile: /ca.pem\n'),
      /^5:11: postgres\.caFile: stands in the url too, as sslrootcert/,
    ],
    [
      "the system's CAs by libpq's word",
      (whole) => whole.replace('/novamem\n', '/novamem?sslrootcert=system\n'),
      /^4:8: postgres\.url: sslrootcert=system is not known to every/,
    ],
  ])('its TLS is %s', (_what, change, words) => {
    expect(faults(change(WHOLE))).toEqual([expect.stringMatching(words)]);
  });

  test('a store is missing', () => {
    expect(faults(WHOLE.replace(/falkordb:\n.*\n/, ''))).toEqual([expect.stringMatching(/^1:1: falkordb: /)]);
  });

  test('a service has no way to be stopped', () => {
    expect(faults(WHOLE.replace(', stop: "systemctl stop novamem"', ''))).toEqual([
      expect.stringMatching(/^11:12: services\.novamem\.stop: /),
    ]);
  });

  test('its name could not be typed as a confirmation', () => {
    expect(faults(WHOLE.replace('acme-prod', '"acme prod"'))).toEqual([expect.stringMatching(/^1:7: name: /)]);
  });

  test('it is no YAML', () => {
    expect(faults(`name: acme\n  postgres: [\n`).length).toBeGreaterThan(0);
  });
});

test('a file that is absent is a problem that names it', () => {
  expect(() => readProfile('/nowhere/profile.yaml')).toThrow(/Cannot read \/nowhere\/profile\.yaml/);
});
