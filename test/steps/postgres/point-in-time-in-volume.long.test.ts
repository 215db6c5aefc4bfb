import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { homeFolder } from '../../../src/config/home.js';
import { findRun } from '../../../src/engine/runs.js';
import { postgresPointInTime } from '../../../src/steps/postgres/point-in-time.js';
import { postgresRawCopy } from '../../../src/steps/postgres/raw-copy.js';
import { startPostgres, stopPostgres } from '../../support/damage.js';
import { onOwnVolume, whyNoVolume } from '../../support/own-volume.js';
import {
  blocking,
  differences,
  failedChecks,
  look,
  momentOf,
  nextSegment,
  type Recovered,
  recover,
  rowsOf,
  type Story,
  tellStory,
  undo,
} from '../../support/point-in-time.js';
import { PROGRAM, ROOT, runProgram } from '../../support/program.js';
import { findings, perform, unequal } from '../../support/sandbox.js';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const missing = whyNoVolume();
const title = 'a data directory that is a mount point, or below a folder that may not be written to,';

describe.skipIf(missing)(`${title}${missing ? ` (not run here: ${missing})` : ''}`, () => {
  let story: Story;
  let dataDir: string;
  beforeAll(async () => {
    story = await tellStory();
    dataDir = await onOwnVolume(story.real);
  });
  const kept = () => readdirSync(dataDir).filter((name) => /novamem-runbook/.test(name));
  let undone: Recovered[] = [];
  const attempt = async (...[given, more]: [Record<string, unknown>, Parameters<typeof recover>[2]?]) => {
    const recovered = await recover(story.real, given, more);
    undone.push(recovered);
    return recovered;
  };
  const undoLast = () => undo(undone.pop()!);
  afterEach(async () => {
    for (const recovered of undone.reverse()) await undo(recovered);
    undone = [];
    for (const name of kept()) rmSync(join(dataDir, name), { recursive: true });
  });
  const identity = () => {
    const { uid, gid, mode, ino } = statSync(dataDir);
    return { uid, gid, mode, ino };
  };

  test('is recovered in its place, with what was there kept in it, and put back by an undo', async () => {
    const { real } = story;
    const before = identity();
    const found = await look(real, { target: story.before });
    expect(blocking(found)).toEqual([]);
    expect(found.map(({ message }) => message)).toContainEqual(
      expect.stringMatching(
        /cannot be renamed .*: what is in it is moved into \S+pgsql_tmp\.novamem-runbook-before-\S+ instead/,
      ),
    );
    const recovered = await attempt({ target: story.before });
    expect(recovered.error).toBeUndefined();
    expect(await failedChecks(recovered)).toEqual([]);
    expect(await differences(real, story.inventory)).toEqual([]);
    const aside = recovered.facts.aside!;
    expect(kept()).toEqual([basename(aside)]);
    expect(identity()).toEqual(before);

    // What is kept is no part of a copy.
    await stopPostgres(real.cluster);
    const ctx = real.context();
    const copied = await perform(postgresRawCopy, {}, ctx);
    expect(copied.error).toBeUndefined();
    expect(await unequal(postgresRawCopy, {}, ctx, copied.facts)).toEqual([]);
    expect(existsSync(join(copied.facts.copy!, basename(aside)))).toBe(false);
    expect(existsSync(join(copied.facts.copy!, 'PG_VERSION'))).toBe(true);
    await startPostgres(real.cluster);

    const said = await undoLast();
    expect(said.join('\n')).toMatch(/what had been recovered is kept as .*-undone/);
    expect(await rowsOf(real)).toBe(1);
    expect(identity()).toEqual(before);
  });

  test('gives base backups without what it has kept, and another recovery begins with such a one', async () => {
    const { real } = story;
    const first = await attempt({ target: story.before });
    expect(first.error).toBeUndefined();
    const aside = basename(first.facts.aside!);
    const backup = await real.backup(real.cluster.profile, { 'backup-base': { take: true } });
    const base = join(backup.folder, 'postgres', 'base');
    expect(readdirSync(base)).toContain('PG_VERSION');
    expect(readdirSync(base)).not.toContain(aside);
    await real.sql("INSERT INTO story VALUES (3000, 'after it')");
    const target = await momentOf(real);
    await real.sql("INSERT INTO story VALUES (3001, 'too late')");
    await nextSegment(real);
    const second = await attempt({ target });
    expect(second.error?.message).toBeUndefined();
    expect(await failedChecks(second)).toEqual([]);
    expect(await rowsOf(real)).toBe(201);
    expect(kept().sort()).toEqual([aside, basename(second.facts.aside!)].sort());
    await undoLast();
    expect(await rowsOf(real)).toBe(202);
    await undoLast();
    expect(await rowsOf(real)).toBe(1);
    rmSync(backup.folder, { recursive: true });
  });

  test('that is left half moved is retried from the start, and looked at by nothing before that', async () => {
    const { real } = story;
    const ctx = real.context();
    let half = false;
    const onChange = ({ text }: { text: string }) => {
      const moving = /^\(cd (\S+) && mv \S+ .* (\S+\.moving)\/\)$/.exec(text);
      if (half || !moving) return;
      half = true;
      for (const name of ['PG_VERSION', 'global', 'pg_wal'])
        renameSync(join(moving[1]!, name), join(moving[2]!, name));
      throw new Error('the power went');
    };
    const failed: Recovered = await attempt({ target: story.before }, { onChange, ctx });
    undone.pop();
    expect(failed.error?.message).toBe('the power went');
    expect(await postgresPointInTime.probe(postgresPointInTime.params.parse({}), ctx, failed.facts)).toBe('partial');
    const found = await look(real, { target: story.before }, { runId: ctx.runId, earlier: failed.facts });
    expect(found).toMatchObject([
      { level: 'warning', message: expect.stringMatching(/a part of it is in \S+\.moving/) },
    ]);
    expect(blocking(await look(real, { target: story.before }))).toMatchObject([
      { next: expect.stringContaining(`novamem-runbook undo ${ctx.runId}`) },
    ]);
    expect((await findings(postgresRawCopy, {}, real.context())).join('\n')).toMatch(
      /blocking: a run was ended while it moved what is in /,
    );
    expect((await perform(postgresRawCopy, {}, real.context())).error?.message).toMatch(/Nothing was copied/);

    const again = await attempt({ target: story.before }, { ctx, earlier: failed.facts });
    expect(again.error).toBeUndefined();
    expect(again.output.join('\n')).toMatch(/an earlier attempt was ended .*: it is back in its place/);
    expect(await failedChecks(again)).toEqual([]);
    expect(await rowsOf(real)).toBe(200);
    await undoLast();
    expect(await rowsOf(real)).toBe(1);
  });

  describe('of a program that is killed in the middle of its moving', () => {
    /** So many names that there is a middle. */
    const MANY = 4_000;
    const environment = { NOVAMEM_RUNBOOK_HOME: homeFolder() };
    const unattended = () => ['--profile', story.real.places.profile, '--confirm', story.real.cluster.name];

    /** Starts a recovery, and kills it once a folder holds some of what is on its way. */
    async function killedHalfWay(): Promise<{ run: string; moved: number; left: number }> {
      for (let n = 0; n < MANY; n += 1) writeFileSync(join(dataDir, `of-an-admin-${n}`), '');
      const sets = ['--set', `point-in-time.target=${story.before}`, '--set', 'reconcile-choice.answer=keep'];
      const child = spawn(
        process.execPath,
        [PROGRAM, 'run', '--headless', 'postgres-point-in-time', ...sets, ...unattended()],
        {
          cwd: ROOT,
          env: { ...process.env, ...environment },
          stdio: 'ignore',
        },
      );
      const over = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      const moving = () => kept().find((name) => name.includes('-before-') && name.endsWith('.moving'));
      for (;;) {
        const name = moving();
        if (child.exitCode !== null) throw new Error('it ended before it moved anything');
        if (name !== undefined && existsSync(join(dataDir, name, 'PG_VERSION'))) break;
        await new Promise((resolve) => setImmediate(resolve));
      }
      child.kill('SIGKILL');
      await over;
      const name = moving();
      const moved = name === undefined ? -1 : readdirSync(join(dataDir, name)).length;
      return { run: findRun('latest').id, moved, left: readdirSync(dataDir).length - kept().length };
    }
    const done = async (...args: string[]) => {
      const ended = await runProgram([...args, ...unattended()], { environment, timeoutMs: 120_000 });
      expect(ended.exitCode, ended.stdout + ended.stderr).toBe(0);
      return ended.stdout;
    };

    test('resume brings it to its end', async () => {
      const { run, moved, left } = await killedHalfWay();
      expect(moved).toBeGreaterThan(0);
      expect(left).toBeGreaterThan(0);
      await done('resume', '--headless', run);
      expect(await rowsOf(story.real)).toBe(200);
      expect(kept()).toEqual([`pgsql_tmp.novamem-runbook-before-${run}`]);
      expect(readdirSync(join(dataDir, kept()[0]!)).length).toBeGreaterThan(MANY);
      await done('undo', run);
      expect(await rowsOf(story.real)).toBe(1);
    });

    test('undo brings back what was there before', async () => {
      const { run, moved, left } = await killedHalfWay();
      expect(moved).toBeGreaterThan(0);
      expect(left).toBeGreaterThan(0);
      await done('undo', run);
      expect(await rowsOf(story.real)).toBe(1);
      expect(kept()).toEqual([]);
      expect(readFileSync(join(dataDir, 'of-an-admin-7'), 'utf8')).toBe('');
    });
  });
});
