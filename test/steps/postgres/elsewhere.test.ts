import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { profileSchema } from '../../../src/config/profile.js';
import { staysInPlace } from '../../../src/steps/postgres/data-places.js';
import { downFindings } from '../../../src/steps/postgres/down.js';
import { postgresPointInTime } from '../../../src/steps/postgres/point-in-time.js';
import { postgresRawCopy } from '../../../src/steps/postgres/raw-copy.js';
import { postgresSurvey } from '../../../src/steps/postgres/survey.js';
import type { StepKind } from '../../../src/steps/step.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { symptomsOf } from '../../../src/stores/symptoms/symptoms.js';
import { contextOf, findings, perform } from '../../support/sandbox.js';
import { type SshHost, sshHost, whyNoSshServer } from '../../support/ssh-server.js';
import { tempFolder } from '../../support/temp.js';

// A data directory on another host, and a folder of this machine that has the same path.

function elsewhere(hosts: object) {
  const root = tempFolder('same-path');
  const dataDir = join(root, 'main');
  mkdirSync(join(dataDir, 'global'), { recursive: true });
  writeFileSync(join(dataDir, 'PG_VERSION'), '15\n');
  const profile = profileSchema.parse({
    name: 'acme-test',
    postgres: { url: 'postgres://novamem@127.0.0.1:1/novamem', dataDir, walArchive: root },
    qdrant: { url: 'http://127.0.0.1:1' },
    falkordb: { url: 'redis://127.0.0.1:1' },
    services: { postgres: { driver: 'command', start: 'true', stop: 'true' } },
    hosts,
  });
  return { root, dataDir, ctx: contextOf(new Cluster(profile)) };
}

const profileOf = (hosts: object) =>
  profileSchema.parse({
    name: 'acme-test',
    postgres: { url: 'postgres://novamem@127.0.0.1:1/novamem' },
    qdrant: { url: 'http://127.0.0.1:1' },
    falkordb: { url: 'redis://127.0.0.1:1' },
    hosts,
  });

const missing = whyNoSshServer();
const blocking = async <P, F>(kind: StepKind<P, F>, given: unknown, ctx: ReturnType<typeof contextOf>) =>
  (await findings(kind, given, ctx)).filter((line) => line.startsWith('blocking'));

describe.skipIf(missing)(`over SSH${missing ? ` (not run here: ${missing})` : ''}`, () => {
  let db: SshHost;
  beforeAll(async () => {
    if (!missing) db = await sshHost('db-1');
  });
  const other = () => elsewhere({ postgres: { ssh: db.name, sudo: false } });

  test('a recovery and a raw copy look at that host alone, and touch nothing here', async () => {
    const { ctx, root, dataDir } = other();
    // The folders of this machine are there as well, but for what only the host sees.
    const gone = {
      ...ctx.cluster.profile,
      postgres: { ...ctx.cluster.profile.postgres, dataDir: '/run/there/main' },
    };
    const onThere = { ...ctx, cluster: new Cluster(gone) };
    expect(await blocking(postgresPointInTime, { target: 'latest' }, onThere)).toEqual([
      'blocking: neither /run/there/main nor the folder above it is on db-1',
    ]);
    expect(await findings(postgresRawCopy, {}, onThere)).toEqual([
      'warning: nothing is left to copy: /run/there/main on db-1 is gone',
    ]);
    expect(readdirSync(root)).toEqual(['main']);
    expect((await postgresRawCopy.plan(postgresRawCopy.params.parse({}), ctx)).commands).toEqual([
      expect.stringMatching(new RegExp(`^mkdir -p .* && ssh db-1 -- 'tar -C ${dataDir} -chf - \\.' \\| tar -C `)),
    ]);
  });

  test('a data directory that is a volume of its own makes place within, unless another volume lies in it or in one that is renamed', async () => {
    const { ctx } = other();
    const dataDir = '/run/there/volume';
    db.run(`mkdir -p ${dataDir} && mount -t tmpfs tmpfs ${dataDir} && echo 15 > ${dataDir}/PG_VERSION`);
    const { profile } = ctx.cluster;
    const cluster = new Cluster({ ...profile, postgres: { ...profile.postgres, dataDir } });
    const onThere = { ...ctx, cluster };
    const params = postgresPointInTime.params.parse({ target: 'latest' });
    const { wayBack } = await postgresPointInTime.plan(params, onThere);
    expect(wayBack).toContain(` ${dataDir}/pgsql_tmp.novamem-runbook-before-${ctx.runId}, `);
    expect((await blocking(postgresPointInTime, { target: 'latest' }, onThere)).join('\n')).not.toMatch(/disk/);
    db.run(`mkdir ${dataDir}/pg_wal && mount -t tmpfs tmpfs ${dataDir}/pg_wal`);
    expect(await postgresPointInTime.check(params, { ...onThere })).toEqual([
      {
        level: 'blocking',
        message: expect.stringContaining(`${dataDir}/pg_wal in it is a disk of its own`),
        next: expect.stringContaining(`rmdir ${dataDir}/pg_wal && ln -s /postgres-wal ${dataDir}/pg_wal`),
      },
    ]);
    const plain = '/run/there/plain';
    db.run(`mkdir -p ${plain}/pg_wal ${plain}/log && echo 15 > ${plain}/PG_VERSION`);
    db.run(`mount -t tmpfs tmpfs ${plain}/log`);
    const renamed = new Cluster({ ...profile, postgres: { ...profile.postgres, dataDir: plain } });
    expect(await blocking(postgresPointInTime, { target: 'latest' }, { ...ctx, cluster: renamed })).toEqual([
      `blocking: ${plain}/log on db-1 is a disk of its own: renamed, ${plain} would take it along, and at the next start of the machine it would be mounted over what the new one has there`,
    ]);
  });

  test('a volume that is the same disk as the folder above it is known for one, and so is a folder above that is closed', async () => {
    const root = '/run/there/two ways';
    db.run(`mkdir -p '${root}/bound' '${root}/plain' && mount --bind '${root}/plain' '${root}/bound'`);
    const files = new Cluster(profileOf({ postgres: { ssh: db.name, sudo: false } })).host('postgres').files;
    const asNobody = new Cluster(profileOf({ postgres: { ssh: db.user, sudo: false } })).host('postgres').files;
    expect(await staysInPlace(`${root}/bound`, files)).toBe(true);
    expect(await staysInPlace(`${root}/plain`, files)).toBe(false);
    db.run(`chown nobody '${root}/plain' && chmod 755 '${root}'`);
    expect(await staysInPlace(`${root}/plain`, asNobody)).toBe(true);
  });

  test('the survey, the findings of a server that is down and the diagnosis say what is seen there', async () => {
    const { ctx } = other();
    const dataDir = '/run/there/pg/main';
    db.run(
      `mkdir -p ${dataDir}/global /run/there/pg/old && echo 15 > ${dataDir}/PG_VERSION && echo 15 > /run/there/pg/old/PG_VERSION`,
    );
    const { profile } = ctx.cluster;
    const cluster = new Cluster({ ...profile, postgres: { ...profile.postgres, dataDir } });
    const onThere = { ...ctx, cluster };
    const said = await findings(postgresSurvey, {}, onThere);
    expect(said.join('\n')).toMatch(/data directory \/run\/there\/pg\/main: pg_controldata: .*pg_control/);
    expect(said.join('\n')).toContain('another data directory /run/there/pg/old');
    expect((await downFindings(onThere)).map(({ message }) => message).join('\n')).toMatch(
      /data directory or its control file is missing \(\/run\/there\/pg\/main\)/,
    );
    const { symptoms } = await symptomsOf(cluster);
    expect(symptoms.map(({ seen }) => seen)).toContainEqual(
      'Postgres: its global/pg_control is gone from /run/there/pg/main on db-1, and it does not start without',
    );
  });
});

test('a host that cannot be reached is said to be that, and what lies here is not taken for it', async () => {
  const { ctx, root, dataDir } = elsewhere({ postgres: { ssh: 'nowhere.invalid', sudo: false } });
  for (const kind of [postgresPointInTime, postgresRawCopy] as StepKind<unknown, unknown>[]) {
    const given = kind.kind === 'postgres.raw-copy' ? {} : { target: 'latest' };
    await expect(findings(kind, given, ctx)).rejects.toThrow(/^nowhere\.invalid cannot be reached/);
    expect((await perform(kind, given, ctx)).error?.message).toMatch(/^nowhere\.invalid cannot be reached/);
  }
  expect((await findings(postgresSurvey, {}, ctx)).filter((line) => line.includes(dataDir))).toEqual(
    Array(2).fill(expect.stringMatching(/nowhere\.invalid cannot be reached/)),
  );
  expect((await downFindings(ctx)).map(({ message }) => message)).toContainEqual(
    expect.stringMatching(/^the control file is not looked at: nowhere\.invalid cannot be reached/),
  );
  expect(readdirSync(root)).toEqual(['main']);
});

test('without a host in the profile the folder of this machine is what is meant', async () => {
  const { ctx, dataDir } = elsewhere({});
  expect((await findings(postgresSurvey, {}, ctx)).join('\n')).toContain(dataDir);
  expect((await blocking(postgresRawCopy, {}, ctx)).join('\n')).not.toContain('db-1');
});
