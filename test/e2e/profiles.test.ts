import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { resolveSecret } from '../../src/config/secrets.js';
import { runProgram } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

let real: RealCluster;
let secrets: { postgres: string; qdrant: string; falkordb: string };

beforeAll(async () => {
  real = await realCluster(60);
  const { postgres, qdrant, falkordb } = real.cluster.profile;
  secrets = {
    postgres: resolveSecret(postgres.passwordFrom!, 'the password'),
    qdrant: resolveSecret(qdrant.apiKeyFrom!, 'the key'),
    falkordb: resolveSecret(falkordb.passwordFrom!, 'the password'),
  };
});

/** A home and novamem's own settings for the real cluster, whose ports are published as a Compose file says. */
function shop() {
  const folder = tempFolder('shop');
  const home = join(folder, 'home');
  const { ports } = real.record;
  writeFileSync(
    join(folder, '.env'),
    `POSTGRES_PASSWORD=${secrets.postgres}\nNOVAMEM_COLD_API_KEY="${secrets.qdrant}"\n`,
  );
  writeFileSync(
    join(folder, 'compose.yaml'),
    `name: shop
services:
  postgres: { image: "postgres:16", ports: [ "127.0.0.1:${ports.postgres}:5432" ] }
  qdrant: { image: "qdrant/qdrant:v1.12.4", ports: [ "${ports.qdrant}:6333" ] }
  falkordb: { image: "falkordb/falkordb:v4", ports: [ "${ports.falkordb}:6379" ] }
  novamem:
    image: novamem
    ports: [ "${ports.novamem}:7778" ]
    environment:
      NOVAMEM_WARM_URL: postgres://novamem:\${POSTGRES_PASSWORD}@postgres:5432/novamem
      NOVAMEM_COLD_URL: http://qdrant:6333
      NOVAMEM_COLD_API_KEY: \${NOVAMEM_COLD_API_KEY}
      NOVAMEM_GRAPH_URL: redis://:${secrets.falkordb}@falkordb:6379
`,
  );
  const program = (...args: string[]) => runProgram(args, { environment: { NOVAMEM_RUNBOOK_HOME: home } });
  return { folder, home, program };
}

const holdsSecret = (text: string) => Object.values(secrets).some((secret) => text.includes(secret));

describe('profile import-env', () => {
  test('writes a profile that reaches every store, and holds no secret', async () => {
    const { folder, home, program } = shop();
    const ended = await program('profile', 'import-env', join(folder, '.env'), '--json');
    expect(ended).toMatchObject({ exitCode: 0, stderr: '' });
    const told = JSON.parse(ended.stdout);
    expect(told.connections.map((one: { service: string; outcome: string }) => [one.service, one.outcome])).toEqual([
      ['novamem', 'answers'],
      ['postgres', 'answers'],
      ['qdrant', 'answers'],
      ['falkordb', 'answers'],
    ]);
    expect(told.file).toBe(join(home, 'profiles', 'shop.yaml'));
    const text = readFileSync(told.file, 'utf8');
    expect(text.split('\n')[0]).toMatch(/^# yaml-language-server: \$schema=file:.*\/profiles\/schema\.json$/);
    expect(existsSync(new URL(text.split('\n')[0]!.replace(/^.*\$schema=/, '')))).toBe(true);
    expect(statSync(told.file).mode & 0o777).toBe(0o600);
    expect(parse(text).name).toBe('shop');
    expect(holdsSecret(text + ended.stdout)).toBe(false);
    for (const one of told.unknown) expect(text).toContain(one);
  });

  test('is read on a terminal of 80 columns, and leads on', async () => {
    const { folder, program } = shop();
    const ended = await program('profile', 'import-env', join(folder, 'compose.yaml'), '--name', 'other');
    expect(ended.exitCode).toBe(0);
    expect(ended.stdout).toMatch(/● Postgres +postgres:\/\/127\.0\.0\.1:\d+\/novamem: PostgreSQL \d/);
    expect(ended.stdout).toContain('Next: novamem-runbook doctor --profile other');
    const tooLong = ended.stdout
      .split('\n')
      .filter((line) => line.length > 80 && line.trim().includes(' ') && !/^(Read|Written)/.test(line));
    expect(tooLong).toEqual([]);
  });

  test('never overwrites what is there', async () => {
    const { folder, home, program } = shop();
    await program('profile', 'import-env', join(folder, '.env'));
    const again = await program('profile', 'import-env', join(folder, '.env'));
    expect(again).toMatchObject({ exitCode: 2, stdout: '' });
    expect(again.stderr).toContain(`${join(home, 'profiles', 'shop.yaml')} is there already`);
    const elsewhere = await program(
      'profile',
      'import-env',
      join(folder, '.env'),
      '--output',
      join(folder, 'mine.yaml'),
    );
    expect(elsewhere.exitCode).toBe(0);
    expect(parse(readFileSync(join(folder, 'mine.yaml'), 'utf8')).name).toBe('shop');
  });

  test('with --output - only prints', async () => {
    const { folder, home, program } = shop();
    const { stdout } = await program('profile', 'import-env', join(folder, '.env'), '--output', '-');
    expect(parse(stdout)).toMatchObject({ name: 'shop', production: true });
    expect(existsSync(join(home, 'profiles.json'))).toBe(false);
  });

  test('takes this machine for a name that only a Compose network knows, where the login is let in, and says so', async () => {
    const { folder, program } = shop();
    const { ports } = real.record;
    const alone = join(tempFolder('alone'), 'novamem.env');
    writeFileSync(
      alone,
      `NOVAMEM_WARM_URL=postgres://novamem:${secrets.postgres}@postgres:${ports.postgres}/novamem
NOVAMEM_COLD_URL=http://qdrant:${ports.qdrant}
NOVAMEM_COLD_API_KEY=wrong-key
NOVAMEM_GRAPH_URL=redis://:${secrets.falkordb}@falkordb:1
`,
    );
    const { stdout } = await program('profile', 'import-env', alone, '--json', '--output', join(folder, 'x.yaml'));
    const { profile, unknown, connections } = JSON.parse(stdout);
    expect(profile.postgres.url).toBe(`postgres://novamem@127.0.0.1:${ports.postgres}/novamem`);
    expect(unknown).toContainEqual(
      expect.stringMatching(/whether 127\.0\.0\.1:\d+ is the Postgres that novamem calls postgres/),
    );
    // A wrong key proves nothing of whose server that is.
    expect(profile.qdrant.url).toBe(`http://qdrant:${ports.qdrant}`);
    const falkordb = connections.find((one: { service: string }) => one.service === 'falkordb');
    expect(falkordb).toMatchObject({
      outcome: 'stopped',
      next: expect.stringContaining('the name falkordb is not known on this machine'),
    });
  });
});

describe('remembered profiles', () => {
  test('are listed, shown without secrets, used and forgotten', async () => {
    const { folder, home, program } = shop();
    await program('profile', 'import-env', join(folder, '.env'));
    await program(
      'profile',
      'import-env',
      join(folder, '.env'),
      '--name',
      'b.second',
      '--output',
      join(folder, 'b.yaml'),
    );
    const list = async () => JSON.parse((await program('profile', 'list', '--json')).stdout);
    expect(await list()).toEqual([
      { name: 'shop', file: join(home, 'profiles', 'shop.yaml'), current: false },
      { name: 'b.second', file: join(folder, 'b.yaml'), current: true },
    ]);
    expect((await program('profile', 'use', 'shop')).exitCode).toBe(0);
    const shown = await program('profile', 'show');
    expect(parse(shown.stdout)).toMatchObject({ name: 'shop', drill: { everyDays: 90 } });
    expect(holdsSecret(shown.stdout)).toBe(false);
    expect(JSON.parse((await program('profile', 'show', 'b.second', '--json')).stdout).name).toBe('b.second');

    const removed = await program('profile', 'remove', 'shop');
    expect(removed.stdout).toContain('its file');
    expect(existsSync(join(home, 'profiles', 'shop.yaml'))).toBe(false);
    expect((await program('profile', 'remove', 'b.second')).stdout).toContain(
      `its file stays: ${join(folder, 'b.yaml')}`,
    );
    expect(existsSync(join(folder, 'b.yaml'))).toBe(true);
    expect(await list()).toEqual([]);
  });

  test('that are not there are not used, and what is there is said', async () => {
    const { folder, program } = shop();
    await program('profile', 'import-env', join(folder, '.env'));
    for (const verb of ['use', 'remove'])
      expect(await program('profile', verb, 'toString')).toMatchObject({
        exitCode: 2,
        stderr: expect.stringContaining('There is no profile "toString": it is no remembered name (shop)'),
      });
  });
});

test('profile add without a file and without a terminal names the other ways', async () => {
  const { program } = shop();
  expect(await program('profile', 'add')).toMatchObject({
    exitCode: 2,
    stdout: '',
    stderr: expect.stringMatching(/needs a terminal[\s\S]*profile add FILE\.yaml.*profile import-env/),
  });
});
