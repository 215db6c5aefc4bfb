import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Profile } from '../../../src/config/profile.js';
import { differencesBetween } from '../../../src/hosts/copy-tree.js';
import { filesBelow } from '../../../src/hosts/files.js';
import { postgresPointInTime } from '../../../src/steps/postgres/point-in-time.js';
import { postgresRawCopy } from '../../../src/steps/postgres/raw-copy.js';
import type { RecoveryFacts } from '../../../src/steps/postgres/recovery.js';
import type { StepContext } from '../../../src/steps/step.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { dockerStandIn, kubectlStandIn, type StandIn } from '../../support/container-stand-ins.js';
import { eventually } from '../../support/eventually.js';
import { onOwnVolume, whyNoVolume } from '../../support/own-volume.js';
import {
  differences,
  failedChecks,
  leftBeside,
  type Recovered,
  recover,
  rowsOf,
  type Story,
  tellStory,
  undo,
} from '../../support/point-in-time.js';
import { type PostgresElsewhere, postgresElsewhere, SERVER_USER } from '../../support/postgres-elsewhere.js';
import { type S3Store, s3Store } from '../../support/s3-store.js';
import { contextOf, findings, perform, recordingGateway, unequal } from '../../support/sandbox.js';
import { sshHost, whyNoSshServer } from '../../support/ssh-server.js';

// A recovery to a point in time where the data directory is on another host: over a real SSH server with files that only it sees, and by
// `docker` and `kubectl`, for which there are stand-ins that run the inner command here.

vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

const missing = whyNoSshServer();
const params = (given: object) => postgresPointInTime.params.parse(given);

describe.skipIf(missing)(`over SSH${missing ? ` (not run here: ${missing})` : ''}`, () => {
  let there: PostgresElsewhere;
  let deletion: number;
  let undone: Recovered[] = [];

  beforeAll(async () => {
    there = await postgresElsewhere();
    await there.sql('CREATE TABLE story (id int PRIMARY KEY, text text NOT NULL)');
    // Large enough that it is long on its way.
    await there.sql(
      'CREATE TABLE blob AS SELECT n, repeat(md5(n::text), 250) AS text FROM generate_series(1, 3000) n; ALTER TABLE blob ALTER text SET STORAGE EXTERNAL',
    );
    await there.sql('CREATE TABLE large AS SELECT n, md5(n::text) AS text FROM generate_series(1, 200000) n');
    there.baseBackup('nightly');
    await there.sql("INSERT INTO story SELECT n, 'row ' || n FROM generate_series(1, 200) n");
    await there.nextSegment();
    const rows = await there.sql(
      'BEGIN; DELETE FROM story; SELECT txid_current()::text AS id INTO TEMP seen; COMMIT; SELECT id FROM seen',
    );
    deletion = Number(rows[0]!.id);
    await there.nextSegment();
    await there.sql("INSERT INTO story VALUES (1000, 'later')");
  });

  afterEach(async () => {
    for (const recovered of undone.reverse()) await undo(recovered);
    undone = [];
  });

  afterAll(() => {
    if (!missing) there.stop();
  });

  /** Runs the step as `recover` does, in the context of this cluster. */
  async function attempt(given: Record<string, unknown>) {
    const recovered = await recover({} as never, given, { ctx: there.context() });
    undone.push(recovered);
    return recovered;
  }
  const beside = () => there.listed(`${there.host.folder}/pg`).filter((name) => name.startsWith('main.'));

  test('the moment before a deletion comes back there, what was there is kept, and an undo brings that back', async () => {
    const ctx = there.context();
    const found = await findings(postgresPointInTime, { target: `before ${deletion}` }, ctx);
    expect(found.filter((line) => !line.startsWith('info'))).toEqual([]);
    expect(found.join('\n')).toMatch(/begins with the base backup nightly/);
    const recovered = await attempt({ target: `before ${deletion}` });
    expect(recovered.error).toBeUndefined();
    expect(await failedChecks(recovered)).toEqual([]);
    expect(await there.rows()).toBe(200);
    expect(existsSync(there.dataDir)).toBe(false);
    const { aside } = recovered.facts;
    expect(recovered.safetyCopies.map(({ at }) => at)).toEqual([aside]);
    expect(there.host.run(`stat -c '%a %u' ${there.dataDir} ${there.dataDir}/base`).trim()).toBe(
      `700 ${SERVER_USER}\n700 ${SERVER_USER}`,
    );
    expect(there.host.run(`find ${there.dataDir} ! -user ${SERVER_USER}`)).toBe('');
    // Every change of a file was made there.
    const changes = recovered.changes.filter(({ channel }) => channel === 'file').map(({ text }) => text);
    expect(changes.filter((text) => !/(^|\| )ssh db-1 -- |^write \S+ on db-1 /.test(text))).toEqual([]);
    const said = await undo(undone.pop()!);
    expect(said.join('\n')).toMatch(/what had been recovered is kept as .*-undone/);
    expect(await there.rows()).toBe(1);
    expect(beside()).toEqual([`${aside!.split('/').at(-1)}-undone`]);
  });

  test('what no archive has is taken from the data directory there', async () => {
    await there.sql("INSERT INTO story VALUES (2000, 'the last word')");
    there.stop('immediate');
    const recovered = await attempt({ target: 'latest' });
    expect(recovered.error).toBeUndefined();
    expect(await failedChecks(recovered)).toEqual([]);
    expect(recovered.output.join('\n')).toMatch(/of log that the archive lacks: taken from the old directory/);
    expect((await there.sql('SELECT id FROM story ORDER BY id')).map(({ id }) => id)).toEqual([1000, 2000]);
    const said = await undo(undone.pop()!);
    expect(said.at(-1)).toMatch(/Postgres did not run before, and is left stopped/);
    there.start();
    expect(await there.rows()).toBe(2);
    await there.sql('DELETE FROM story WHERE id = 2000');
  });

  test('a write-ahead log behind a link comes to where that of before lies, for the server’s user', async () => {
    const { dataDir, host } = there;
    const [link, folder] = [`${dataDir}/pg_wal`, `${host.folder}/pg/log of main`];
    there.stop();
    host.run(`mv ${link} '${folder}' && ln -s '${folder}' ${link}`);
    there.start();
    const recovered = await attempt({ target: `before ${deletion}` });
    expect(recovered.error?.message).toBeUndefined();
    expect(await failedChecks(recovered)).toEqual([]);
    expect(await there.rows()).toBe(200);
    const now = `${folder}.since-${recovered.ctx.runId}`;
    expect(host.run(`readlink ${link} ${recovered.facts.aside}/pg_wal`)).toBe(`${now}\n${folder}\n`);
    expect(host.run(`find '${now}' ! -user ${SERVER_USER}`)).toBe('');
    expect(host.run(`stat -c %a '${now}'`).trim()).toBe('700');
    await undo(undone.pop()!);
    expect(host.run(`readlink ${link}`)).toBe(`${folder}\n`);
    expect(await there.rows()).toBe(1);
    there.stop();
    host.run(`rm ${link} && mv '${folder}' ${link} && rm -r '${now}' ${dataDir}.before-*`);
    there.start();
  });

  test('a connection that is cut while the base backup is on its way stops nothing; a retry goes on where that was', async () => {
    const ctx = there.context();
    const facts: Record<string, unknown> = {};
    const following = async (earlier: Record<string, unknown>, cutAfter: number): Promise<Error | undefined> => {
      try {
        const given = params({ target: `before ${deletion}` });
        for await (const event of postgresPointInTime.run(given, { ...ctx, earlier }, new AbortController().signal)) {
          if (event.type === 'facts') Object.assign(facts, event.facts);
          if (event.type !== 'progress' || !event.text.startsWith('bringing')) continue;
          if (event.done > cutAfter) await there.host.cut();
        }
      } catch (error) {
        return error as Error;
      }
      return undefined;
    };
    const inodes = (folder: string) =>
      there.host.run(`find ${folder} -type f -printf '%i\\n'`).split('\n').filter(Boolean);
    const cut = await following({}, 20_000_000);
    expect(cut?.message).toMatch(
      /^db-1 cannot be reached, or the connection to it was cut: .*a retry goes on with it$/,
    );
    expect(await there.rows()).toBe(1);
    const brought = inodes(`${there.dataDir}.placing-${ctx.runId}`);
    expect(brought.length).toBeGreaterThan(100);
    expect(await following({ ...facts }, Number.POSITIVE_INFINITY)).toBeUndefined();
    expect(await there.rows()).toBe(200);
    // What had arrived was not sent again: it is the very file.
    const now = new Set(inodes(there.dataDir));
    expect(brought.filter((inode) => now.has(inode)).length).toBeGreaterThan(0.8 * brought.length);
    await undo({ ctx, facts });
    expect(await there.rows()).toBe(1);
  });

  describe('with its base backup in a bucket', () => {
    let store: S3Store;
    beforeAll(async () => {
      store = await s3Store('acme-sets');
      const folder = join(there.backups, 'nightly');
      for (const file of await filesBelow(folder))
        await store.put(`sets/nightly/${file}`, readFileSync(join(folder, file)));
    });
    const inBucket = () => {
      const { backups: _, ...profile } = there.profile;
      return contextOf(new Cluster({ ...profile, backups: [store.url('sets')], s3: store.settings }));
    };
    const fetched = (ctx: StepContext) => existsSync(join(ctx.workFolder, 'base-backup'));

    test('that is proven here before it is sent there, and taken no part of where it is not whole', async () => {
      const key = 'sets/nightly/global/pg_filenode.map';
      const good = await store.get(key);
      await store.put(key, Buffer.from(good).fill(7, 100, 101));
      const ctx = inBucket();
      const recovered = await recover({} as never, { target: `before ${deletion}` }, { ctx });
      await store.put(key, good);
      expect(recovered.error?.message).toMatch(/is not whole: checksum mismatch for file "global\/pg_filenode\.map"/);
      expect(recovered.changes.filter(({ text }) => /\bssh db-1\b/.test(text))).toEqual([]);
      expect(await there.rows()).toBe(1);
      expect(fetched(ctx)).toBe(false);
    });

    test('and comes back from there, with what was fetched gone from here; what was cut off is removed by an undo', async () => {
      const ctx = inBucket();
      expect((await findings(postgresPointInTime, { target: `before ${deletion}` }, ctx)).join('\n')).toMatch(
        /brought from s3:\S+ to \S+base-backup, and from there to \S+\.placing-\S+ on db-1, before anything is stopped/,
      );
      const given = params({ target: `before ${deletion}` });
      const { commands } = await postgresPointInTime.plan(given, ctx);
      expect(commands.slice(0, 4)).toEqual([
        expect.stringMatching(/^aws .*s3 cp --recursive s3:\S+ \S+base-backup$/),
        expect.stringMatching(/mkdir -p pg_commit_ts/),
        expect.stringMatching(/pg_verifybackup .*base-backup$/),
        expect.stringMatching(/^tar -C \S+base-backup .*\| ssh db-1 -- /),
      ]);
      const facts: Partial<RecoveryFacts> = {};
      let isCut = false;
      const attempt = async () => {
        for await (const event of postgresPointInTime.run(given, ctx, new AbortController().signal)) {
          if (event.type === 'facts') Object.assign(facts, event.facts);
          if (isCut || event.type !== 'progress' || !/^bringing .* to db-1/.test(event.text)) continue;
          if (event.done > 20_000_000) isCut = await there.host.cut().then(() => true);
        }
      };
      await expect(attempt()).rejects.toThrow(/^db-1 cannot be reached, or the connection to it was cut/);
      expect(fetched(ctx)).toBe(true);
      await undo({ ctx, facts });
      expect(fetched(ctx)).toBe(false);
      expect(beside().filter((name) => name.includes('placing'))).toEqual([]);
      expect(await there.rows()).toBe(1);

      const again = inBucket();
      const recovered = await recover({} as never, { target: `before ${deletion}` }, { ctx: again });
      undone.push(recovered);
      expect(recovered.error).toBeUndefined();
      expect(await failedChecks(recovered)).toEqual([]);
      expect(await there.rows()).toBe(200);
      expect(fetched(again)).toBe(false);
      expect(there.listed(there.dataDir)).not.toContain('backup_manifest');
    });
  });

  describe('in a data directory that is a volume of its own', () => {
    const SLOW = 'pg_wal';
    const kept = () => there.listed(there.dataDir).filter((name) => name.includes('novamem-runbook'));
    beforeAll(() => {
      const { dataDir, host } = there;
      there.stop();
      host.run(`mv ${dataDir} ${dataDir}-volume && mkdir ${dataDir} && mount --bind ${dataDir}-volume ${dataDir}`);
      there.start();
    });
    afterAll(() => {
      const { dataDir, host } = there;
      there.stop();
      host.run(`umount ${dataDir} && rmdir ${dataDir} && mv ${dataDir}-volume ${dataDir}`);
      there.start();
    });

    test('it makes place within, and an undo brings back what was there', async () => {
      const recovered = await attempt({ target: `before ${deletion}` });
      expect(recovered.error).toBeUndefined();
      expect(await failedChecks(recovered)).toEqual([]);
      expect(await there.rows()).toBe(200);
      expect(kept()).toEqual([recovered.facts.aside!.split('/').at(-1)]);
      expect(there.host.run(`stat -c '%a %u' ${there.dataDir} ${recovered.facts.aside}`).trim()).toBe(
        `700 ${SERVER_USER}\n700 ${SERVER_USER}`,
      );
      expect(there.host.run(`find ${there.dataDir} ! -user ${SERVER_USER}`)).toBe('');
      await undo(undone.pop()!);
      expect(await there.rows()).toBe(1);
      there.host.run(`rm -r ${there.dataDir}/pgsql_tmp.novamem-runbook-*`);
    });

    /** From now on, and on that host only, one of the entries does not come through. */
    function hangs(): { isReached(): boolean; over(): void } {
      const { host } = there;
      const [mv, reached] = [host.run('command -v mv').trim(), `${host.folder}/reached`];
      host.run(`cp ${mv} ${host.folder}/real-mv`);
      host.run(
        `printf '%s\\n' '#!/bin/sh' 'case $1 in */${SLOW}) touch ${reached}; sleep 600 ;; esac' 'exec ${host.folder}/real-mv "$@"' > ${host.folder}/mv && chmod 755 ${host.folder}/mv && mount --bind ${host.folder}/mv ${mv}`,
      );
      return {
        isReached: () => host.run(`[ ! -e ${reached} ] || echo yes`).trim() === 'yes',
        over: () => void host.run(`umount -l ${mv} && rm -f ${reached}`),
      };
    }

    test.each([
      'undone',
      'retried',
    ])('a connection that is cut in the middle of it leaves what can be %s', async (how) => {
      const ctx = there.context();
      const hanging = hangs();
      const cutting = eventually('it moves', hanging.isReached, 200_000).then(() => there.host.cut());
      const cut = await recover({} as never, { target: `before ${deletion}` }, { ctx });
      await cutting;
      hanging.over();
      expect(cut.error?.message).toMatch(/^db-1 cannot be reached, or the connection to it was cut/);
      expect(kept().filter((name) => name.endsWith('.moving'))).toHaveLength(1);
      expect(there.listed(there.dataDir)).toContain(SLOW);
      expect(there.listed(there.dataDir)).not.toContain('PG_VERSION');
      if (how === 'retried') {
        const again = await recover({} as never, { target: `before ${deletion}` }, { ctx, earlier: cut.facts });
        expect(again.error).toBeUndefined();
        expect(await failedChecks(again)).toEqual([]);
        expect(await there.rows()).toBe(200);
        await undo(again);
      } else await undo(cut);
      expect(await there.rows()).toBe(1);
      expect(kept().filter((name) => !name.includes('-undone'))).toEqual([]);
    });
  });

  test('its plan only reads, and every command of it can be pasted', async () => {
    const { gateway, changes } = recordingGateway();
    const plan = await postgresPointInTime.plan(params({ target: `before ${deletion}` }), there.context({ gateway }));
    expect(changes).toEqual([]);
    const there_ = plan.commands.filter((line) => /\b(mv|chown|chmod|touch|tar)\b/.test(line));
    expect(there_.length).toBeGreaterThan(5);
    expect(there_.filter((line) => !/(^|\| )ssh db-1 -- '/.test(line))).toEqual([]);
    expect(plan.onAbort).toMatch(/By hand: ssh db-1 -- 'if \[ -d /);
  });

  describe('is not begun where', () => {
    const blocking = async (hosts: object) =>
      (await findings(postgresPointInTime, { target: 'latest' }, there.context({}, hosts))).filter((line) =>
        line.startsWith('blocking'),
      );

    test('the profile says nothing of the host, though the server answers on a port of this machine', async () => {
      expect(await blocking({})).toEqual([
        `blocking: neither ${there.dataDir} nor the folder above it is on this machine`,
      ]);
    });

    test('the profile names another host than the one it is on', async () => {
      const other = await sshHost('db-2');
      expect(await blocking({ postgres: { ssh: other.name, sudo: false } })).toEqual([
        `blocking: neither ${there.dataDir} nor the folder above it is on db-2`,
      ]);
    });

    test('this program is there neither root nor the owner of the folder', async () => {
      expect(await blocking({ postgres: { ssh: there.host.user, sudo: false } })).toEqual([
        expect.stringMatching(
          /^blocking: .*\/main on nobody@db-1 belongs to user 1, and this program is there 65534/,
        ),
      ]);
    });

    test('the host cannot be reached', async () => {
      await expect(blocking({ postgres: { ssh: 'nowhere.invalid', sudo: false } })).rejects.toThrow(
        /^nowhere\.invalid cannot be reached/,
      );
    });
  });
});

const noVolume = whyNoVolume();

describe('in a container', () => {
  let story: Story;
  beforeAll(async () => {
    story = await tellStory();
  });

  const WORKLOAD = {
    kind: 'StatefulSet',
    metadata: { name: 'postgres' },
    spec: {
      template: {
        spec: {
          containers: [{ name: 'postgres', image: 'postgres', volumeMounts: [{ name: 'data', mountPath: '/data' }] }],
        },
      },
      volumeClaimTemplates: [{ metadata: { name: 'data' } }],
    },
  };

  /** While the server runs its container does, and no longer. */
  function alive<S extends StandIn>(standIn: S): S {
    const pidFile = story.real.places.pidFile('postgres');
    standIn.runsWhile(`grep -qs '^State:.[^Z]' "/proc/$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/' '${pidFile}')/status"`);
    return standIn;
  }
  const elsewhere = (postgres: Profile['hosts']['postgres']) =>
    contextOf(new Cluster({ ...story.real.cluster.profile, hosts: { postgres } }));

  async function roundTrip(ctx: StepContext) {
    const recovered = await recover(story.real, { target: story.before }, { ctx });
    expect(recovered.error).toBeUndefined();
    expect(await failedChecks(recovered)).toEqual([]);
    expect(await differences(story.real, story.inventory)).toEqual([]);
    await undo(recovered);
    expect(await rowsOf(story.real)).toBe(1);
    return recovered;
  }

  test('it is recovered in its volume, and put back, with a stand-in for docker', async () => {
    const docker = alive(dockerStandIn());
    const ctx = elsewhere({ compose: '/srv/novamem', service: 'postgres' });
    const { changes } = await roundTrip(ctx);
    const files = changes.filter(({ channel }) => channel === 'file').map(({ text }) => text);
    expect(files.filter((text) => !/(^|\| )docker compose |^write \S+ on the service postgres/.test(text))).toEqual(
      [],
    );
    const verbs = docker.calls().map((call) => call.find((word) => /^(exec|run)$/.test(word)));
    expect(new Set(verbs)).toEqual(new Set(['exec', 'run']));
  });

  test('it is recovered by a pod that is gone before it is started, with a stand-in for kubectl', async () => {
    const kubectl = alive(kubectlStandIn(WORKLOAD));
    await roundTrip(elsewhere({ kubernetes: 'statefulset/postgres', namespace: 'novamem' }));
    expect(kubectl.made()).toBeUndefined();
    const calls = kubectl.calls().map((call) => call.join(' '));
    const [made, removed] = [/ apply -f -/, / delete pod /].map((what) => calls.findIndex((call) => what.test(call)));
    const through = calls.findIndex((call) => /exec .* pod\/novamem-runbook-files-of-postgres -- .*mv /s.test(call));
    expect([made! > 0, through > made!, removed! > through]).toEqual([true, true, true]);
  });

  describe(`in a volume of its own${noVolume ? ` (not run here: ${noVolume})` : ''}`, () => {
    let dataDir: string;
    beforeAll(async () => {
      if (!noVolume) dataDir = await onOwnVolume(story.real);
    });

    test.skipIf(noVolume).each(['docker', 'kubectl'])(
      'it makes place within, and is put back, with a stand-in for %s',
      async (program) => {
        const made = alive(program === 'docker' ? dockerStandIn() : kubectlStandIn(WORKLOAD));
        const { facts } = await roundTrip(
          elsewhere(
            program === 'docker'
              ? { compose: '/srv/novamem', service: 'postgres' }
              : { kubernetes: 'statefulset/postgres', namespace: 'novamem' },
          ),
        );
        expect(dirname(facts.aside!)).toBe(dataDir);
        expect(made.made()).toBeUndefined();
        expect(leftBeside(story.real).filter((name) => name.includes(facts.aside!.split('before-')[1]!))).toEqual([]);
      },
    );
  });

  test('that was scaled to 0 its data directory is copied, by a pod that is gone then, with a stand-in for kubectl', async () => {
    const kubectl = alive(kubectlStandIn(WORKLOAD));
    const ctx = elsewhere({ kubernetes: 'statefulset/postgres', namespace: 'novamem' });
    const driver = story.real.cluster.driver('postgres')!;
    await driver.stop(ctx.gateway, { onLine: () => {} });
    expect(await findings(postgresRawCopy, {}, ctx)).toEqual([
      expect.stringMatching(/^warning: statefulset\/postgres in novamem is stopped: its files are seen only once/),
    ]);
    const copied = await perform(postgresRawCopy, {}, ctx);
    expect(copied.error).toBeUndefined();
    expect(kubectl.made()).toBeUndefined();
    expect(await unequal(postgresRawCopy, {}, ctx, copied.facts)).toEqual([]);
    expect(await differencesBetween(story.real.places.postgresData, copied.facts.copy!)).toEqual([]);
    const full = await perform(postgresRawCopy, { to: '/dev/full/x' }, ctx);
    expect(full.error).toBeDefined();
    expect(kubectl.made()).toBeUndefined();
    await driver.start(ctx.gateway, { onLine: () => {} });
    await eventually('Postgres answers', async () => (await story.real.cluster.answering('postgres')).answers);
  });

  test('that was scaled to 0 already it is recovered all the same, with a stand-in for kubectl', async () => {
    const kubectl = alive(kubectlStandIn(WORKLOAD));
    const ctx = elsewhere({ kubernetes: 'statefulset/postgres', namespace: 'novamem' });
    const driver = story.real.cluster.driver('postgres')!;
    await driver.stop(ctx.gateway, { onLine: () => {} });
    const found = await findings(postgresPointInTime, { target: story.before }, ctx);
    expect(found).toContainEqual(
      expect.stringMatching(/^warning: statefulset\/postgres in novamem is stopped: its files are seen only once/),
    );
    expect(found.filter((line) => line.startsWith('blocking'))).toEqual([]);
    expect(kubectl.made()).toBeUndefined();
    const recovered = await recover(story.real, { target: story.before }, { ctx });
    expect(recovered.error).toBeUndefined();
    expect(await failedChecks(recovered)).toEqual([]);
    expect(await differences(story.real, story.inventory)).toEqual([]);
    await undo(recovered);
    expect(kubectl.made()).toBeUndefined();
    await driver.start(ctx.gateway, { onLine: () => {} });
  });
});
