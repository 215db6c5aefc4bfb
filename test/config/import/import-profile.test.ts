import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseEnv } from '../../../src/config/import/env-file.js';
import { importProfile } from '../../../src/config/import/import-profile.js';
import { resolveSecret } from '../../../src/config/secrets.js';
import { Problem } from '../../../src/problem.js';
import { tempFolder } from '../../support/temp.js';

/** A folder `shop` with these files. */
function folderWith(files: Record<string, string>): string {
  const folder = join(tempFolder('import'), 'shop');
  for (const [name, text] of Object.entries(files)) {
    const file = join(folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return folder;
}

describe('a .env file', () => {
  test.each([
    ['A=1', '1'],
    ['export A=1', '1'],
    ['A=one # a remark', 'one'],
    ['A=one#two', 'one#two'],
    ['A="one # two"', 'one # two'],
    [`A='$B \${B}'`, `$B \${B}`],
    ['A="$B\\n\\"x\\""', 'bee\n"x"'],
    [`A=\${B}/\${C:-see}`, 'bee/see'],
    ['A=pa$$word', 'pa$word'],
    ['A="two\nlines"', 'two\nlines'],
    ['A=', ''],
    ['A=x=y', 'x=y'],
    ['A=1\r\nZ=2', '1'],
  ])('%j', (line, value) => {
    expect(parseEnv(`B=bee\n# A=no\n${line}\n`).get('A')).toBe(value);
  });
});

const ENV = `NOVAMEM_WARM_URL=postgres://novamem:s3cr%2Fet@db.example.com:5433/memories?sslmode=require
NOVAMEM_COLD_URL=https://qdrant.example.com:6333
NOVAMEM_COLD_API_KEY='q key'
NOVAMEM_GRAPH_URL=redis://default:graph-pw@graph.example.com:6379
NOVAMEM_PORT=8080
NOVAMEM_AUTH_MODE=none
POSTGRES_PASSWORD=s3cr/et
`;

describe("a profile from novamem's own .env", () => {
  const folder = folderWith({ '.env': ENV });
  const { profile, unknown } = importProfile(join(folder, '.env'));

  test('names the stores, and not one of their secrets', () => {
    expect(profile).toMatchObject({
      name: 'shop',
      production: true,
      postgres: { url: 'postgres://novamem@db.example.com:5433/memories?sslmode=require' },
      qdrant: { url: 'https://qdrant.example.com:6333' },
      falkordb: { url: 'redis://graph.example.com:6379' },
      novamem: { url: 'http://127.0.0.1:8080' },
    });
    expect(JSON.stringify({ profile, unknown })).not.toMatch(/s3cr|q key|graph-pw/);
  });

  test.each([
    ['postgres', 'passwordFrom', 's3cr/et'],
    ['qdrant', 'apiKeyFrom', 'q key'],
    ['falkordb', 'passwordFrom', 'graph-pw'],
  ] as const)('refers to the secret of %s where it stands', (store, field, secret) => {
    const reference = String(profile[store][field]);
    expect(reference).toContain(join(folder, '.env'));
    expect(resolveSecret(reference, 'a secret')).toBe(secret);
  });

  test('a secret that was changed since is read as it is now', () => {
    writeFileSync(join(folder, '.env'), ENV.replace('graph-pw@', 'another one@'));
    expect(resolveSecret(String(profile.falkordb.passwordFrom), 'a secret')).toBe('another one');
  });

  test('says what it could not know', () => {
    for (const words of [
      'production',
      'backups',
      'postgres.walArchive',
      'novamem, postgres, qdrant, falkordb is stopped',
    ])
      expect(unknown.join('\n')).toContain(words);
    expect(unknown.join('\n')).not.toContain('token');
  });
});

test('a secret that no command would give as it is comes from the environment, and that is said', () => {
  const folder = folderWith({
    '.env': ENV.replace('POSTGRES_PASSWORD=s3cr/et', () => 'POSTGRES_PASSWORD="a\\"b$$c"').replace(
      's3cr%2Fet',
      'a%22b%24c',
    ),
  });
  const { profile, unknown } = importProfile(join(folder, '.env'));
  expect(profile.postgres.passwordFrom).toBe('env:POSTGRES_PASSWORD');
  expect(unknown).toContainEqual(expect.stringMatching(/Postgres password .*: export it as POSTGRES_PASSWORD/));
});

const COMPOSE = `services:
  db:
    image: postgres:16
    environment: { POSTGRES_USER: novamem, POSTGRES_PASSWORD: "\${POSTGRES_PASSWORD:?}", POSTGRES_DB: memories }
    ports: ["127.0.0.1:15432:5432"]
    volumes: [novamem_pg:/var/lib/postgresql/data]
  vectors:
    image: qdrant/qdrant:v1.12.4
    ports: ["16333-16334:6333-6334"]
    volumes: [{ type: bind, source: ./qdrant, target: /qdrant/storage }]
  falkordb:
    image: falkordb/falkordb:v4
    volumes: [novamem_falkor:/data]
  novamem:
    image: ghcr.io/acme/novamem:2
    env_file: [{ path: ./secrets/novamem.env }]
    environment:
      - NOVAMEM_WARM_URL=postgres://novamem:\${POSTGRES_PASSWORD}@db:5432/memories
      - NOVAMEM_COLD_URL=http://vectors:6333
      - NOVAMEM_GRAPH_URL=redis://falkordb:6379
    ports: [{ target: 7778, published: "\${PORT:-17778}", host_ip: 127.0.0.1 }]
volumes: { novamem_pg: , novamem_falkor: }
`;
const FILES = {
  'docker-compose.yml': COMPOSE,
  '.env': 'POSTGRES_PASSWORD=pg-secret\n',
  'secrets/novamem.env': 'NOVAMEM_COLD_API_KEY=key-of-qdrant\nNOVAMEM_AUTH_MODE=bearer\n',
};

describe('a profile from a Compose file', () => {
  const folder = folderWith(FILES);
  const { profile, files, unknown } = importProfile(join(folder, 'docker-compose.yml'));

  test('takes the ports that this machine publishes for the names inside of the network', () => {
    expect(profile.postgres.url).toBe('postgres://novamem@127.0.0.1:15432/memories');
    expect(profile.qdrant.url).toBe('http://127.0.0.1:16333');
    expect(profile.novamem).toEqual({ url: 'http://127.0.0.1:17778' });
  });

  test('says that what nothing publishes is not reached from here, and how it would be', () => {
    expect(profile.falkordb.url).toBe('redis://falkordb:6379');
    expect(unknown).toContainEqual(
      expect.stringMatching(
        /how FalkorDB is reached from here: .*add ports: \[ "127\.0\.0\.1:6379:6379" \] to the service falkordb/,
      ),
    );
  });

  test('drives every service by Docker Compose', () => {
    expect(profile.services).toEqual({
      postgres: { driver: 'compose', project: folder, service: 'db' },
      qdrant: { driver: 'compose', project: folder, service: 'vectors' },
      falkordb: { driver: 'compose', project: folder, service: 'falkordb' },
      novamem: { driver: 'compose', project: folder, service: 'novamem' },
    });
  });

  test('knows which data lies in a folder of this machine, and which in a volume', () => {
    expect(profile.qdrant.dataDir).toBe(join(folder, 'qdrant'));
    expect(profile.postgres.dataDir).toBe('/var/lib/postgresql/data');
    expect(profile.falkordb.dataDir).toBe('/data');
    expect(profile.hosts).toEqual({
      postgres: { compose: folder, service: 'db' },
      falkordb: { compose: folder, service: 'falkordb' },
    });
  });

  test('refers to secrets in .env and in env_file', () => {
    expect(files).toEqual([
      join(folder, 'docker-compose.yml'),
      join(folder, '.env'),
      join(folder, 'secrets/novamem.env'),
    ]);
    expect(resolveSecret(String(profile.postgres.passwordFrom), 'a secret')).toBe('pg-secret');
    expect(resolveSecret(String(profile.qdrant.apiKeyFrom), 'a secret')).toBe('key-of-qdrant');
    expect(JSON.stringify(profile)).not.toMatch(/pg-secret|key-of-qdrant/);
  });

  test('is the same from the .env beside it', () => {
    expect(importProfile(join(folder, '.env')).profile).toEqual(profile);
  });

  test('tells of another file that may change it', () => {
    const changed = folderWith({ ...FILES, 'compose.override.yml': 'services: {}\n' });
    expect(importProfile(join(changed, 'docker-compose.yml')).unknown.join('\n')).toContain(
      'compose.override.yml may change',
    );
  });

  test('of a service whose data is a folder has it where it really lies', () => {
    const bound = folderWith({
      ...FILES,
      'docker-compose.yml': COMPOSE.replace('novamem_pg:/var', './pg:/var').replace(
        'POSTGRES_DB:',
        'PGDATA: /var/lib/postgresql/data/inner, POSTGRES_DB:',
      ),
    });
    const { profile: own } = importProfile(join(bound, 'docker-compose.yml'));
    expect(own.postgres.dataDir).toBe(join(bound, 'pg/inner'));
    expect(own.hosts).not.toHaveProperty('postgres');
  });
});

describe('is refused', () => {
  test.each([
    ['a .env without any store', { '.env': 'A=1\n' }, '.env', /Where Postgres is cannot be told/],
    [
      'a URL that is none',
      { '.env': ENV.replace('postgres://', '') },
      '.env',
      /NOVAMEM_WARM_URL is no URL that begins with postgres:\/\//,
    ],
    [
      'a YAML file without services',
      { 'x.yaml': 'a: 1\n' },
      'x.yaml',
      /no Compose file that can be read: it has no services/,
    ],
    ['a file that is not there', {}, 'nothing.env', /Cannot read/],
  ] as [string, Record<string, string>, string, RegExp][])('%s', (_what, given, file, words) => {
    const folder = folderWith({ ...given, 'empty/.keep': '' });
    const refusal = () => importProfile(join(folder, file));
    expect(refusal).toThrow(Problem);
    expect(refusal).toThrow(words);
  });
});
