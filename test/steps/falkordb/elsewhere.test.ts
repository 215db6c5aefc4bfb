import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { falkordbBackup } from '../../../src/steps/falkordb/backup.js';
import { falkordbRestore } from '../../../src/steps/falkordb/restore.js';
import type { StepContext } from '../../../src/steps/step.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { differencesOf, falkordbOf } from '../../support/falkordb.js';
import { type FalkordbElsewhere, falkordbElsewhere } from '../../support/falkordb-elsewhere.js';
import {
  contextOf,
  findings,
  follow,
  perform,
  type RealCluster,
  realCluster,
  recordingGateway,
  unequal,
} from '../../support/sandbox.js';
import { sshHost, whyNoSshServer } from '../../support/ssh-server.js';
import { tempFolder } from '../../support/temp.js';

// A FalkorDB on a host that is reached over a real SSH server, with files that only that host sees.

const missing = whyNoSshServer();
let real: RealCluster;
let backup: BackupSet;
let there: FalkordbElsewhere;

beforeAll(async () => {
  if (missing) return;
  real = await realCluster();
  // Large enough that it is long on its way.
  await falkordbOf(real).cypher(`CREATE (:Blob {data: '${randomBytes(12_000_000).toString('base64')}'})`);
  backup = await real.backup();
  there = await falkordbElsewhere(real);
  await there.server.start();
});

afterAll(async () => {
  if (!missing) await there.server.down();
});

const params = falkordbRestore.params.parse({});
const expected = () => backup.inventory!.falkordb!;
const listed = (path: string) => there.host.run(`ls ${path}`).split('\n').filter(Boolean);

/** Runs a restore, and cuts every connection once so much is under way. Answers where the bringing began, and the error. */
async function restoring(ctx: StepContext, cutAfter = Number.POSITIVE_INFINITY) {
  const facts: Record<string, unknown> = {};
  let began: number | undefined;
  let error: Error | undefined;
  try {
    for await (const event of falkordbRestore.run(params, ctx, new AbortController().signal)) {
      if (event.type === 'facts') Object.assign(facts, event.facts);
      if (event.type !== 'progress' || !event.text.startsWith('bringing')) continue;
      if (event.done > 0) began ??= event.done;
      if (event.done > cutAfter) await there.host.cut();
    }
  } catch (thrown) {
    error = thrown as Error;
  }
  return { facts, began: began ?? 0, error };
}

describe.skipIf(missing)(`FalkorDB over SSH${missing ? ` (not run here: ${missing})` : ''}`, () => {
  beforeEach(async () => {
    await there.server.cypher(`MERGE (:Visitor {id: 'only there'})`);
  });

  test('is restored there; what was there is moved aside, and an undo puts it back', async () => {
    const before = await there.server.now();
    const ctx = there.context({ backup });
    expect((await findings(falkordbRestore, {}, ctx)).filter((line) => !line.startsWith('info'))).toEqual([]);
    const performed = await perform(falkordbRestore, {}, ctx);
    expect(performed.error).toBeUndefined();
    expect(await unequal(falkordbRestore, {}, ctx, performed.facts)).toEqual([]);
    expect(differencesOf(expected(), await there.server.now())).toEqual([]);
    expect(existsSync(there.data())).toBe(false);
    expect(performed.safetyCopies.map(({ at }) => there.host.run(`ls -d ${at}`).trim())).toEqual([
      there.data(`before-${ctx.runId}`, 'appendonlydir'),
    ]);
    expect(listed(there.data())).not.toContain(`incoming-${ctx.runId}`);
    const undone = await follow(falkordbRestore.undo!(params, ctx, performed.facts));
    expect(undone.error).toBeUndefined();
    expect(differencesOf(before, await there.server.now())).toEqual([]);
  });

  test('keeps running when the connection is cut while its files are on their way; a retry goes on where that was', async () => {
    const before = await there.server.now();
    const ctx = there.context({ backup });
    const { facts, error } = await restoring(ctx, 9_000_000);
    expect(error?.message).toMatch(
      /^graph-1 cannot be reached, or the connection to it was cut: .*a retry goes on with it$/,
    );
    expect(differencesOf(before, await there.server.now())).toEqual([]);
    expect(listed(there.data('appendonlydir'))).toContain('appendonly.aof.manifest');
    const retry = await restoring({ ...ctx, earlier: facts });
    expect(retry.error).toBeUndefined();
    expect(retry.began).toBeGreaterThan(1_000_000);
    expect(differencesOf(expected(), await there.server.now())).toEqual([]);
  });

  test('leaves nothing behind when such an attempt is undone', async () => {
    const before = await there.server.now();
    const ctx = there.context({ backup });
    const { facts, error } = await restoring(ctx, 2_000_000);
    expect(error).toBeDefined();
    const incoming = `incoming-${ctx.runId}`;
    expect(listed(there.data())).toContain(incoming);
    expect((await follow(falkordbRestore.undo!(params, ctx, facts))).error).toBeUndefined();
    expect(listed(there.data())).not.toContain(incoming);
    expect(differencesOf(before, await there.server.now())).toEqual([]);
  });

  test('is backed up from there, and the copy is proven on both ends', async () => {
    const folder = tempFolder('backup');
    const ctx = there.context({ newBackup: { id: 'set', folder } });
    const { error, facts } = await perform(falkordbBackup, {}, ctx);
    expect(error).toBeUndefined();
    expect(await unequal(falkordbBackup, {}, ctx, facts)).toEqual([]);
    const { parts } = facts as { parts: { file: string; sha256: string }[] };
    for (const { file, sha256 } of parts.filter((part) => part.file.endsWith('.rdb')))
      expect(there.host.run(`sha256sum ${there.data(file.replace('falkordb/', ''))}`)).toContain(sha256);
  });

  test('has every command of its plan as a person could paste it, and reads only while it plans', async () => {
    const { gateway, changes } = recordingGateway();
    const { commands } = await falkordbRestore.plan(params, there.context({ backup, gateway }));
    const incoming = commands.findIndex((line) =>
      /^ssh graph-1 -- 'mkdir -p \/run\/there\/data\/incoming-/.test(line),
    );
    const stopped = commands.findIndex((line) => line.endsWith('SHUTDOWN NOSAVE'));
    expect([incoming, stopped > incoming]).toEqual([0, true]);
    expect(commands.filter((line) => line.includes('\n'))).toEqual([]);
    expect(commands.slice(stopped + 1).every((line) => line.startsWith('ssh graph-1 -- '))).toBe(true);
    expect(changes).toEqual([]);
  });

  describe('is not touched where', () => {
    const blocking = async (profile: Partial<FalkordbElsewhere['profile']>) => {
      const ctx = contextOf(new Cluster({ ...there.profile, ...profile }), { backup });
      return (await findings(falkordbRestore, {}, ctx)).filter((line) => line.startsWith('blocking'));
    };

    test('the profile says nothing of the host, though the server answers on a port of this machine', async () => {
      expect(await blocking({ hosts: {} })).toEqual([
        'blocking: the folder /run/there/data, which the server names, is not on this machine',
      ]);
    });

    test('the profile names another host than the one it is on', async () => {
      const other = await sshHost('graph-2');
      expect(await blocking({ hosts: { falkordb: { ssh: other.name, sudo: false } } })).toEqual([
        'blocking: the folder /run/there/data, which the server names, is not on graph-2',
      ]);
    });

    test('this program is there neither root nor the owner of the folder', async () => {
      const ctx = contextOf(
        new Cluster({ ...there.profile, hosts: { falkordb: { ssh: there.host.user, sudo: false } } }),
        {
          backup,
        },
      );
      const found = (await findings(falkordbRestore, {}, ctx)).filter((line) => line.startsWith('blocking'));
      expect(found).toEqual([
        expect.stringMatching(
          /^blocking: on nobody@graph-1 this program is user 65534, who may not write in \/run\/there\/data, which belongs to 0:0$/,
        ),
      ]);
    });

    test('the host cannot be reached', async () => {
      const ctx = contextOf(
        new Cluster({ ...there.profile, hosts: { falkordb: { ssh: 'nowhere.invalid', sudo: false } } }),
        { backup },
      );
      await expect(findings(falkordbRestore, {}, ctx)).rejects.toThrow(/^nowhere\.invalid cannot be reached/);
    });
  });
});
