import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Profile, profileSchema } from '../../src/config/profile.js';
import { Problem } from '../../src/problem.js';
import { Cluster } from '../../src/stores/cluster.js';
import { Ca } from '../support/certificates.js';
import { runProgram } from '../support/program.js';
import { tempFolder } from '../support/temp.js';

// Files of TLS that cannot be used are refused before anything is asked.

const folder = tempFolder('certificates');
const ca = new Ca(folder);
const client = ca.sign('client');
// What a developer keeps for libpq would be found there.
process.env.HOME = folder;

const text = JSON.stringify({
  name: 'acme',
  postgres: { url: 'postgres://novamem@127.0.0.1:9/novamem', caFile: ca.caFile },
  qdrant: { url: 'https://127.0.0.1:9', caFile: ca.caFile },
  falkordb: { url: 'rediss://127.0.0.1:9', caFile: ca.caFile, ...client },
  novamem: { url: 'https://127.0.0.1:9', caFile: ca.caFile },
});
const profile = profileSchema.parse(JSON.parse(text));

const written = (name: string, content: string): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

describe('what is refused', () => {
  const UNUSABLE: [string, 'postgres' | 'qdrant' | 'falkordb' | 'novamem', () => object, RegExp][] = [
    [
      'an absent CA',
      'qdrant',
      () => ({ caFile: '/nowhere/ca.pem' }),
      /the CA for Qdrant is to come from the file \/nowhere\/ca\.pem: ENOENT/,
    ],
    [
      'a CA that is none',
      'novamem',
      () => ({ caFile: written('no.pem', 'hello') }),
      /no\.pem: it holds no certificate in PEM/,
    ],
    [
      'a CA of nonsense',
      'falkordb',
      () => ({ caFile: written('bad.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n') }),
      /What FalkorDB is to be reached with over TLS cannot be used \(.*bad\.pem/,
    ],
    [
      'a key of another certificate',
      'falkordb',
      () => ({ keyFile: ca.sign('other').keyFile }),
      /cannot be used \(.*\): key values mismatch/,
    ],
    [
      'a key that others may read',
      'postgres',
      () => {
        const open = join(folder, 'open.key');
        copyFileSync(client.keyFile, open);
        chmodSync(open, 0o644);
        return { certFile: client.certFile, keyFile: open };
      },
      /The private key .*open\.key can be read by others/,
    ],
    [
      'no CA to compare with',
      'postgres',
      () => ({ caFile: undefined, url: `${profile.postgres.url}?sslmode=verify-full` }),
      /sslmode=verify-full compares with a CA, and the profile names none/,
    ],
  ];

  test.each(UNUSABLE)('%s (%s)', (_what, part, settings, words) => {
    const changed = { ...profile, [part]: { ...profile[part], ...settings() } } as Profile;
    let refusal: unknown;
    try {
      new Cluster(changed);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(Problem);
    const said = (refusal as Problem).lines().join('\n');
    expect(said).toMatch(words);
    expect(said).toMatch(/\nNext: /);
    expect(said).not.toMatch(/BEGIN|PRIVATE KEY-/);
  });

  test('with exit code 2', async () => {
    const file = written(
      'acme.yaml',
      text.replace(
        `"https://127.0.0.1:9","caFile":"${ca.caFile}"`,
        '"https://127.0.0.1:9","caFile":"/nowhere/ca.pem"',
      ),
    );
    const ended = await runProgram(['diagnose', '--profile', file], {
      environment: { NOVAMEM_RUNBOOK_HOME: folder },
    });
    expect([ended.exitCode, ended.stdout]).toEqual([2, '']);
    expect(ended.stderr).toMatch(
      /\/nowhere\/ca\.pem: ENOENT.*\nNothing was changed\.\nNext: name a readable PEM file as caFile/,
    );
  });
});

test('they are read, and whoever has none of these faults is let through', () => {
  expect(() => new Cluster(profile)).not.toThrow();
});
