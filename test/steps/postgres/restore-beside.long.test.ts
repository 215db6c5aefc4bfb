import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Profile, profileSchema } from '../../../src/config/profile.js';
import { freePorts } from '../../../src/sandbox/free-ports.js';
import { postgresRestore } from '../../../src/steps/postgres/restore.js';
import type { StepContext } from '../../../src/steps/step.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { openBackupSet } from '../../../src/stores/backup-set/open-backup-set.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { dockerStandIn } from '../../support/container-stand-ins.js';
import { processes } from '../../support/eventually.js';
import { type PostgresElsewhere, postgresElsewhere, SERVER_USER } from '../../support/postgres-elsewhere.js';
import {
  contextOf,
  findings,
  follow,
  open,
  perform,
  realCluster,
  recordingGateway,
  unequal,
} from '../../support/sandbox.js';
import { whyNoSshServer } from '../../support/ssh-server.js';
import { tempFolder } from '../../support/temp.js';

// A dump that is restored by the pg_restore of the server's own host, which is reached over a real SSH server.

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const missing = whyNoSshServer();
const ROWS = 300_000;

describe.skipIf(missing)(
  `pg_restore beside the server, over SSH${missing ? ` (not run here: ${missing})` : ''}`,
  () => {
    let there: PostgresElsewhere;
    let backup: BackupSet;
    const folder = '/run/there/room';

    beforeAll(async () => {
      there = await postgresElsewhere();
      there.host.run(`mkdir -p ${folder}`);
      await there.sql(
        `CREATE TABLE story (id int PRIMARY KEY, text text NOT NULL); INSERT INTO story SELECT n, md5(n::text) FROM generate_series(1, ${ROWS}) n`,
      );
      const set = tempFolder('set');
      there.tool('pg_dump', '--format', 'custom', '--file', join(set, 'novamem.dump'), 'novamem');
      backup = await openBackupSet(set);
    });
    beforeEach(async () => {
      await there.sql(
        "DELETE FROM story WHERE id > 10; INSERT INTO story VALUES (-1, 'only there') ON CONFLICT DO NOTHING",
      );
    });
    afterAll(() => {
      if (!missing) there.stop();
    });

    const contextWith = (beside: object, more: Partial<StepContext> = {}) => {
      const { profile } = there;
      const postgres = { ...profile.postgres, besideServer: { folder, ...beside } };
      return contextOf(new Cluster(profileSchema.parse({ ...profile, postgres }) as Profile), { backup, ...more });
    };
    const inHand = () => processes().filter(({ command }) => command.includes('pg_restore --host'));

    test('replaces what is there in one transaction, with its progress and no secret on the way, and an undo puts it back', async () => {
      const { gateway, changes } = recordingGateway();
      const ctx = contextWith({}, { gateway });
      const found = await findings(postgresRestore, {}, ctx);
      expect(found.filter((line) => !line.startsWith('info'))).toEqual([]);
      expect(found.join('\n')).toMatch(
        /pg_restore [\d.]+ \(.*\) runs on db-1; the dump \(.*\) is brought into \/run\/there\/room/,
      );
      const { commands } = await postgresRestore.plan(postgresRestore.params.parse({}), ctx);
      expect(changes).toEqual([]);
      expect(commands.slice(0, 2)).toEqual([
        expect.stringMatching(/^ssh db-1 -- 'cat > \/run\/there\/room\/novamem-runbook-.*\.dump' < .*novamem\.dump$/),
        expect.stringMatching(
          /^printf '%s\\n' "\$ELSEWHERE_PASSWORD" \| ssh db-1 -- .*pg_restore --host 127\.0\.0\.1 /,
        ),
      ]);
      const seen = { progress: new Set<string>(), commands: '' };
      const facts: Record<string, unknown> = {};
      for await (const event of postgresRestore.run(
        postgresRestore.params.parse({}),
        ctx,
        new AbortController().signal,
      )) {
        if (event.type === 'facts') Object.assign(facts, event.facts);
        if (event.type !== 'progress') continue;
        seen.progress.add(event.text);
        seen.commands += inHand()
          .map(({ command }) => command)
          .join('\n');
      }
      expect([...seen.progress].join('\n')).toMatch(
        /bringing the dump to db-1[\s\S]*rows of public\.story \(300,000\)/,
      );
      expect(seen.commands).toMatch(/pg_restore --host 127\.0\.0\.1/);
      expect(seen.commands + JSON.stringify(changes) + JSON.stringify(facts)).not.toContain(there.password);
      expect(await unequal(postgresRestore, {}, ctx, facts)).toEqual([]);
      expect(await there.rows()).toBe(ROWS);
      expect(there.listed(folder)).toEqual([]);
      expect(
        (await follow(postgresRestore.undo!(postgresRestore.params.parse({}), ctx, facts))).error,
      ).toBeUndefined();
      expect(await there.rows()).toBe(11);
    });

    test('restores beside and renames, in parallel, from a dump that lies there already, and leaves that', async () => {
      const { file } = backup.postgres!;
      await there.cluster.host('postgres').files.send(open, file, `${folder}/${basename(file)}`);
      const { gateway, changes } = recordingGateway();
      const ctx = contextWith({}, { gateway });
      const given = { strategy: 'swap', sessions: 'end' };
      const performed = await perform(postgresRestore, given, ctx);
      expect(performed.error).toBeUndefined();
      expect(performed.output).toContainEqual(expect.stringMatching(/lies on db-1 already, with the same SHA-256/));
      expect(await unequal(postgresRestore, given, ctx, performed.facts)).toEqual([]);
      expect(changes.map(({ text }) => text).filter((text) => /pg_restore .*--jobs/.test(text))).toHaveLength(1);
      expect(changes.some(({ text }) => text.includes('cat >'))).toBe(false);
      expect(there.listed(folder)).toEqual([basename(file)]);
      there.host.run(`rm ${folder}/*`);
      expect(await there.rows()).toBe(ROWS);
    });

    test('is ended there when the connection is cut; the database is as it was, and nothing of it works on', async () => {
      const ctx = contextWith({});
      let error: Error | undefined;
      let isCut = false;
      try {
        for await (const event of postgresRestore.run(
          postgresRestore.params.parse({}),
          ctx,
          new AbortController().signal,
        ))
          if (!isCut && event.type === 'progress' && /^rows of/.test(event.text) && inHand().length > 0) {
            isCut = true;
            await there.host.cut();
          }
      } catch (thrown) {
        error = thrown as Error;
      }
      expect(error?.message).toMatch(/on db-1; the connection to it may have been cut\)\. The database is as it was/);
      expect(await there.rows()).toBe(11);
      expect(inHand()).toEqual([]);
      expect(there.listed(folder)).toEqual([]);
    });

    test('is ended there when somebody holds a lock, who is named', async () => {
      const holding = there
        .sql('BEGIN; LOCK TABLE story IN ACCESS SHARE MODE; SELECT pg_sleep(40); COMMIT')
        .catch(() => []);
      const performed = await perform(postgresRestore, {}, contextWith({}));
      expect(performed.error?.message).toMatch(/it waited 20 s for session \d+ .*The database is as it was/);
      expect(inHand()).toEqual([]);
      await there.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(40)%' AND pid <> pg_backend_pid()",
      );
      await holding;
      expect(await there.rows()).toBe(11);
    });

    describe('is not begun where', () => {
      const blocking = async (beside: object) =>
        (await findings(postgresRestore, {}, contextWith(beside))).filter((line) => line.startsWith('blocking'));

      test('the host has no pg_restore, no room to write in, or does not reach the server', async () => {
        expect(await blocking({ bin: '/nowhere' })).toEqual([
          expect.stringMatching(/^blocking: pg_restore cannot be run on db-1: .*\/nowhere\/pg_restore/),
        ]);
        expect(await blocking({ folder: '/nowhere' })).toEqual([
          'blocking: /nowhere on db-1 cannot be written to, and the dump is to be brought there',
        ]);
        expect(await blocking({ port: 1 })).toEqual([
          expect.stringMatching(/^blocking: Postgres cannot be reached from db-1 at 127\.0\.0\.1 port 1: /),
        ]);
        expect((await perform(postgresRestore, {}, contextWith({ bin: '/nowhere' }))).error?.message).toMatch(
          /cannot be run on db-1: .*Nothing was dropped\. Next: install the client programs there/,
        );
      });

      test('what that host reaches is another server', async () => {
        const [port] = await freePorts(1);
        const other = '/run/there/pg/other';
        const as = `cd / && setpriv --reuid=${SERVER_USER} --regid=${SERVER_USER} --clear-groups ${there.bin}/pg_ctl -D ${other}`;
        there.stop();
        there.host.run(`cp -a ${there.dataDir} ${other}`);
        there.start();
        there.host.run(`${as} -o '-p ${port} -c archive_mode=off' -l /run/there/pg/other.log -w start >/dev/null`);
        try {
          expect(await blocking({ port })).toEqual([
            expect.stringMatching(
              /^blocking: the Postgres that db-1 reaches at 127\.0\.0\.1 port \d+ is another one than/,
            ),
          ]);
          expect((await perform(postgresRestore, {}, contextWith({ port }))).error?.message).toMatch(
            /is another one than .*Nothing was dropped/,
          );
          expect(await there.rows()).toBe(11);
        } finally {
          there.host.run(`${as} -m immediate stop >/dev/null`);
        }
      });
    });
  },
);

test('pg_restore in the container of the server replaces what is there, with a stand-in for docker', async () => {
  const real = await realCluster();
  const docker = dockerStandIn();
  docker.runsWhile('true');
  const backup = await real.backup();
  const { profile } = real.cluster;
  const folder = tempFolder('container');
  const postgres = { ...profile.postgres, besideServer: { host: '127.0.0.1', folder } };
  const hosts = { postgres: { compose: '/srv/novamem', service: 'postgres' } };
  const { gateway, changes } = recordingGateway();
  const ctx = contextOf(new Cluster({ ...profile, postgres, hosts }), { backup, gateway });
  await real.sql('DELETE FROM memory_entries');
  const given = { sessions: 'end' };
  expect((await findings(postgresRestore, given, ctx)).filter((line) => line.startsWith('blocking'))).toEqual([]);
  const performed = await perform(postgresRestore, given, ctx);
  expect(performed.error).toBeUndefined();
  expect(await unequal(postgresRestore, given, ctx, performed.facts)).toEqual([]);
  expect(changes.map(({ text }) => text)).toContainEqual(
    expect.stringMatching(
      /^printf '%s\\n' .* \| docker compose --project-directory \/srv\/novamem exec -T postgres env .*pg_restore --host 127\.0\.0\.1 /,
    ),
  );
  const { secretEnvironment } = real.cluster.postgres.toolEnvironment;
  expect(secretEnvironment.PGPASSWORD).toBeTruthy();
  expect(JSON.stringify(docker.calls())).not.toContain(secretEnvironment.PGPASSWORD);
  expect(readdirSync(folder)).toEqual([]);
});
