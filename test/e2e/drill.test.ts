import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { history } from '../../src/engine/history.js';
import { listRecords } from '../../src/sandbox/registry.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { changedSet } from '../support/changed-set.js';
import { notAsked } from '../support/not-asked.js';
import { type Ended, runProgram } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

// A backup is really restored into a throw-away cluster by the real program, and the cluster it was taken from notices nothing.

let real: RealCluster;
let backup: BackupSet;

beforeAll(async () => {
  real = await realCluster(300);
  backup = await real.backup();
});

const plainDrill = (folder: string, ...more: string[]): Promise<Ended> =>
  runProgram(['drill', '--profile', real.cluster.name, '--backup', folder, ...more], { timeoutMs: 120_000 });

/** However it ends, the cluster itself is not asked anything. */
const drill = (...words: Parameters<typeof plainDrill>): Promise<Ended> => notAsked(real, () => plainDrill(...words));

describe('a drill', () => {
  test('passes, says what it has proven, and takes its cluster down', async () => {
    const junit = join(tempFolder('junit'), 'drill.xml');
    const ended = await drill('latest', '--junit', junit);
    expect(ended.exitCode, ended.stdout + ended.stderr).toBe(0);
    expect(ended.stdout).toContain(`Drill of ${real.cluster.name}: backup set ${backup.id}`);
    expect(ended.stdout).toMatch(/note +Postgres \S+ \(the backup's \S+\), Qdrant \S+ \(the backup's \S+\)/);
    expect(ended.stdout).toContain('novamem is a stand-in and not the real one');
    expect(ended.stdout).toMatch(/golden search: scores and signals +5 +5 equal +equal/);
    expect(listRecords().map((record) => record.name)).toEqual([real.cluster.name]);
    const [newest] = history();
    expect(newest).toMatchObject({ mode: 'drill', outcome: 'recovered', drillOf: real.cluster.name });
    const report = readFileSync(junit, 'utf8');
    expect(report).toMatch(
      /^<\?xml version="1.0" encoding="UTF-8"\?>\n<testsuites name="Whole cluster lost: .*failures="0" errors="0"/,
    );
    expect(report.match(/<testcase /g)!.length).toBeGreaterThan(100);
    const html = await runProgram(['report', newest!.id, '--format', 'html']);
    expect(html.stdout).toMatch(new RegExp(`<th>Drill of<td[^>]*>${real.cluster.name}`));
  });

  test('of a dump in which one byte has flipped fails before it is restored, and says which file', async () => {
    const folder = changedSet(backup, (manifest, at) => {
      const file = join(at, manifest.parts.postgres!.file);
      const bytes = readFileSync(file);
      bytes[bytes.length - 100]! ^= 1;
      writeFileSync(file, bytes);
    });
    const ended = await drill(folder);
    expect(ended.exitCode).toBe(1);
    expect(ended.stdout).toMatch(/novamem\.dump.*SHA-256/);
    const [newest] = history();
    expect(newest).toMatchObject({ mode: 'drill', outcome: 'failed' });
    for (const words of [
      ['resume', newest!.id, '--headless'],
      ['undo', newest!.id],
    ])
      expect(await runProgram(words)).toMatchObject({
        exitCode: 2,
        stderr: expect.stringContaining(`novamem-runbook drill --profile ${real.cluster.name}`),
      });
    expect((await runProgram(['resume', '--headless'])).stderr).toContain('There is no run to go on with');
    expect(listRecords().map((record) => record.name)).toEqual([real.cluster.name]);
  });

  test('of a set without a manifest proves nothing, is refused, and leaves that in the JUnit file', async () => {
    const folder = changedSet(backup, () => {});
    rmSync(join(folder, 'manifest.json'));
    const junit = join(tempFolder('junit'), 'drill.xml');
    const ended = await drill(folder, '--junit', junit);
    expect(ended.exitCode).toBe(1);
    expect(ended.stderr).toContain('has no manifest: nothing says what it must hold');
    expect(readFileSync(junit, 'utf8')).toMatch(
      /errors="1".*\n.*\n.*<error message="The backup set .* has no manifest/,
    );
  });

  test('by a scenario that is not there or needs a cluster, or with a setting of no step, is refused before anything is started', async () => {
    for (const wrong of [
      ['--scenario', 'nowhere'],
      ['--scenario', 'falkordb-lost', '--set', 'way.answer=files'],
      ['--set', 'nowhere.at=all'],
    ])
      expect(await plainDrill(backup.folder, ...wrong)).toMatchObject({ exitCode: 2, stdout: '' });
  });

  test('of another cluster’s backup is refused before anything is restored', async () => {
    const folder = changedSet(backup, (manifest) => {
      manifest.cluster = 'acme-eu';
    });
    const ended = await drill(folder);
    expect(ended.exitCode).toBe(3);
    expect(ended.stderr).toContain(`was taken from the cluster "acme-eu", and this is "${real.cluster.name}"`);
    expect(ended.stdout).not.toMatch(/restore-postgres +started/);
  });
});

test('the scenario of that name is a drill, whose record the step names', async () => {
  const name = real.cluster.name;
  const ended = await runProgram(['run', 'drill', '--profile', name, '--headless'], { timeoutMs: 120_000 });
  expect(ended.exitCode, ended.stdout + ended.stderr).toBe(0);
  const [, , proven] = /drill: proven in (.*) by \d+ comparisons: novamem-runbook report (\S+)/.exec(ended.stdout)!;
  expect(history().find((one) => one.id === proven)).toMatchObject({ mode: 'drill', drillOf: name });
});
