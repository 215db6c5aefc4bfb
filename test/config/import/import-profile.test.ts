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
  const { profile, unknown } = importProfile([join(folder, '.env')]);

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
  const { profile, unknown } = importProfile([join(folder, '.env')]);
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
  const { profile, files, unknown } = importProfile([join(folder, 'docker-compose.yml')]);

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
    expect(importProfile([join(folder, '.env')]).profile).toEqual(profile);
  });

  test('of a service whose data is a folder has it where it really lies', () => {
    const bound = folderWith({
      ...FILES,
      'docker-compose.yml': COMPOSE.replace('novamem_pg:/var', './pg:/var').replace(
        'POSTGRES_DB:',
        'PGDATA: /var/lib/postgresql/data/inner, POSTGRES_DB:',
      ),
    });
    const { profile: own } = importProfile([join(bound, 'docker-compose.yml')]);
    expect(own.postgres.dataDir).toBe(join(bound, 'pg/inner'));
    expect(own.hosts).not.toHaveProperty('postgres');
  });
});

describe('several Compose files', () => {
  const OVERRIDE = `x-ports: &loopback { ports: ["127.0.0.1:16379:6379"] }
services:
  falkordb: { <<: *loopback }
  db: { environment: [POSTGRES_DB=elsewhere, POSTGRES_PASSWORD] , volumes: ["./pg:/var/lib/postgresql/data"] }
  novamem:
    env_file: [more.env, { path: absent.env, required: false }]
`;
  const more = { 'more.env': 'NOVAMEM_COLD_API_KEY=a-newer-key\n' };

  test('of which one is an override of a usual name are read as Docker Compose does', () => {
    const folder = folderWith({ ...FILES, ...more, 'docker-compose.override.yml': OVERRIDE });
    const { profile, files, unknown } = importProfile([join(folder, 'docker-compose.yml')]);
    expect(files.map((file) => file.slice(folder.length + 1))).toEqual([
      ...['docker-compose.yml', 'docker-compose.override.yml', '.env', 'secrets/novamem.env', 'more.env'],
    ]);
    expect(profile.falkordb.url).toBe('redis://127.0.0.1:16379');
    // Ports are added up, variables and mounts replaced one by one.
    expect(profile.qdrant.url).toBe('http://127.0.0.1:16333');
    expect(profile.postgres.dataDir).toBe(join(folder, 'pg'));
    expect(resolveSecret(String(profile.postgres.passwordFrom), 'a secret')).toBe('pg-secret');
    expect(resolveSecret(String(profile.qdrant.apiKeyFrom), 'a secret')).toBe('a-newer-key');
    expect(profile.services).toMatchObject({ postgres: { project: folder } });
    expect(unknown.join('\n')).not.toMatch(/several Compose files|absent\.env|override/);
    expect(importProfile([join(folder, '.env')]).profile).toEqual(profile);
  });

  test('are taken in the order given; what no driver can be told is said', () => {
    const folder = folderWith({ ...FILES, ...more, 'prod.yml': OVERRIDE });
    const given = ['docker-compose.yml', 'prod.yml'].map((name) => join(folder, name));
    const { profile, unknown } = importProfile(given);
    expect(profile.falkordb.url).toBe('redis://127.0.0.1:16379');
    expect(profile.services).toMatchObject({ postgres: { project: given[0] } });
    expect(unknown).toContainEqual(
      expect.stringMatching(/driven by docker-compose\.yml alone; write COMPOSE_FILE=docker-compose\.yml:prod\.yml/),
    );
    // That was done.
    writeFileSync(join(folder, '.env'), `${FILES['.env']}COMPOSE_FILE=docker-compose.yml:prod.yml\n`);
    const again = importProfile([join(folder, '.env')]);
    expect(again.profile.services).toMatchObject({ postgres: { project: folder } });
    expect(again.profile.falkordb.url).toBe('redis://127.0.0.1:16379');
    expect(again.unknown.join('\n')).not.toContain('COMPOSE_FILE');
  });

  test('that take other files in, extend or take back say that this was not understood', () => {
    const folder = folderWith({
      ...FILES,
      'compose.override.yml': `include: [other.yml]
services:
  db: { extends: { file: base.yml, service: db }, ports: !override ["5432:5432"] }
`,
      'compose.yml': COMPOSE,
    });
    const told = importProfile([join(folder, 'compose.yml')]).unknown.join('\n');
    for (const words of [/includes other files/, /db in compose\.override\.yml extends/, /takes settings back/])
      expect(told).toMatch(words);
  });
});

describe('secrets in files of their own', () => {
  const files = {
    ...FILES,
    'docker-compose.yml': `${COMPOSE.replace(
      `POSTGRES_PASSWORD: "\${POSTGRES_PASSWORD:?}"`,
      'POSTGRES_PASSWORD_FILE: /run/secrets/pg',
    )
      .replace(`novamem:\${POSTGRES_PASSWORD}@db`, 'novamem@db')
      .replace('    volumes: [novamem_pg', '    secrets: [pg]\n    volumes: [novamem_pg')
      .replace(
        '    volumes: [{ type: bind',
        '    environment: { QDRANT__SERVICE__API_KEY_FILE: /keys/qdrant }\n    volumes: [./keys:/keys, { type: bind',
      )}secrets: { pg: { file: ./pg.txt }, other: { external: true } }
`,
    '.env': 'A=1\n',
    'secrets/novamem.env': 'NOVAMEM_AUTH_MODE=none\n',
    'pg.txt': 'of Compose\n',
    'keys/qdrant': 'mounted key\n',
  };

  test('are referred to where they lie on this machine: of Compose, and in a mounted folder', () => {
    const folder = folderWith(files);
    const { profile } = importProfile([join(folder, 'docker-compose.yml')]);
    expect(profile.postgres.url).toBe('postgres://novamem@127.0.0.1:15432/memories');
    expect(profile.postgres.passwordFrom).toBe(`file:${join(folder, 'pg.txt')}`);
    expect(profile.qdrant.apiKeyFrom).toBe(`file:${join(folder, 'keys/qdrant')}`);
    expect(resolveSecret(String(profile.postgres.passwordFrom), 'a secret')).toBe('of Compose');
  });

  test('that are nowhere on this machine are told, and so is one that cannot be read', () => {
    const outside = folderWith({
      ...files,
      'docker-compose.yml': files['docker-compose.yml'].replace('file: ./pg.txt', 'external: true'),
    });
    const first = importProfile([join(outside, 'docker-compose.yml')]);
    expect(first.profile.postgres).not.toHaveProperty('passwordFrom');
    expect(first.unknown).toContainEqual(
      expect.stringMatching(/^POSTGRES_PASSWORD, which the service db reads from \/run\/secrets\/pg: .*not known/),
    );
    const { 'pg.txt': _, ...without } = files;
    const folder = folderWith(without);
    const second = importProfile([join(folder, 'docker-compose.yml')]);
    expect(second.profile.postgres.passwordFrom).toBe(`file:${join(folder, 'pg.txt')}`);
    expect(second.unknown).toContainEqual(expect.stringMatching(/^POSTGRES_PASSWORD: .*pg\.txt: .*no such file/));
  });

  test('are found from a .env, beside it; the variable itself counts more', () => {
    const plain = ENV.replace('novamem:s3cr%2Fet@', 'novamem@').replace('POSTGRES_PASSWORD=s3cr/et', '');
    const folder = folderWith({
      '.env': `${plain}POSTGRES_PASSWORD_FILE=./pg.txt\nNOVAMEM_COLD_API_KEY_FILE=/nowhere/key\n`,
      'pg.txt': 'beside it\n',
    });
    const { profile, unknown } = importProfile([join(folder, '.env')]);
    expect(profile.postgres.passwordFrom).toBe(`file:${join(folder, 'pg.txt')}`);
    expect(resolveSecret(String(profile.qdrant.apiKeyFrom), 'a secret')).toBe('q key');
    expect(unknown.join('\n')).not.toContain('/nowhere/key');
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
    const refusal = () => importProfile([join(folder, file)]);
    expect(refusal).toThrow(Problem);
    expect(refusal).toThrow(words);
  });
});
