import { spawn, spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, realpathSync, rmSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { homeFolder } from '../../../src/config/home.js';
import { findRun } from '../../../src/engine/runs.js';
import { folderOnOtherDisk, logMovedTo, whyNoOtherDisk } from '../../support/log-elsewhere.js';
import { onOwnVolume, whyNoVolume } from '../../support/own-volume.js';
import {
  beforeReplay,
  blocking,
  differences,
  failedChecks,
  leftBeside,
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

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const mounting = process.getuid?.() === 0 ? whyNoVolume() : 'only root may mount';
const missing = whyNoOtherDisk();

describe.skipIf(missing)(`a write-ahead log on another disk${missing ? ` (not run here: ${missing})` : ''}`, () => {
  let story: Story;
  let disk: string;
  let log: string;
  let undone: Recovered[] = [];
  beforeAll(async () => {
    story = await tellStory();
    disk = folderOnOtherDisk();
    log = join(disk, 'main');
    await logMovedTo(log, story.real);
  });
  const link = () => join(story.real.places.postgresData, 'pg_wal');
  const attempt = async (...[given, more]: [Record<string, unknown>, Parameters<typeof recover>[2]?]) => {
    const recovered = await recover(story.real, given, more);
    undone.push(recovered);
    return recovered;
  };
  const undoLast = () => undo(undone.pop()!);
  /** As a person gives up what was kept. */
  const giveUp = () => {
    for (const name of leftBeside(story.real)) rmSync(join(story.real.record.folder, name), { recursive: true });
    for (const name of readdirSync(disk)) if (name !== 'main') rmSync(join(disk, name), { recursive: true });
  };
  afterEach(async () => {
    for (const recovered of undone.reverse()) await undo(recovered);
    undone = [];
    giveUp();
  });

  test('comes to that disk again, the old one is kept with the old directory, and an undo puts both back', async () => {
    const { real } = story;
    const ctx = real.context();
    const found = await look(real, { target: story.before }, { runId: ctx.runId });
    expect(blocking(found)).toEqual([]);
    const [said] = found.filter(({ message }) => message.startsWith('the write-ahead log lies in'));
    const recovered = await attempt({ target: story.before }, { ctx });
    expect(recovered.error).toBeUndefined();
    expect(await failedChecks(recovered)).toEqual([]);
    expect(await differences(real, story.inventory)).toEqual([]);
    const now = realpathSync(link());
    expect(lstatSync(link()).isSymbolicLink()).toBe(true);
    expect(now).toBe(join(disk, `main.since-${ctx.runId}`));
    expect(said?.message).toContain(now);
    expect(realpathSync(join(recovered.facts.aside!, 'pg_wal'))).toBe(log);
    expect(recovered.output.at(-1)).toContain(`(its write-ahead log: ${log})`);
    await nextSegment(real);

    const words = await undoLast();
    expect(words.join('\n')).toContain(`-undone (its write-ahead log: ${now})`);
    expect(realpathSync(link())).toBe(log);
    expect(await rowsOf(real)).toBe(1);
    // What was undone stays as it was, until it is given up.
    expect(existsSync(join(now, 'archive_status'))).toBe(true);
  });

  test('is in no way of another recovery, which begins with a base backup of what was recovered', async () => {
    const { real } = story;
    const first = await attempt({ target: story.before });
    expect(first.error).toBeUndefined();
    const backup = await real.backup(real.cluster.profile, { 'backup-base': { take: true } });
    await real.sql("INSERT INTO story VALUES (3000, 'after it')");
    const target = await momentOf(real);
    await real.sql("INSERT INTO story VALUES (3001, 'too late')");
    await nextSegment(real);
    const second = await attempt({ target });
    expect(second.error?.message).toBeUndefined();
    expect(await failedChecks(second)).toEqual([]);
    expect(await rowsOf(real)).toBe(201);
    expect(readdirSync(disk).sort()).toEqual(
      ['main', ...[first, second].map(({ ctx }) => `main.since-${ctx.runId}`)].sort(),
    );
    await undoLast();
    expect(await rowsOf(real)).toBe(202);
    await undoLast();
    expect(await rowsOf(real)).toBe(1);
    expect(realpathSync(link())).toBe(log);
    rmSync(backup.folder, { recursive: true });
  });

  test('what no archive has of it is taken from there, by a retry as well', async () => {
    const { real } = story;
    const ctx = real.context();
    await real.sql("ALTER SYSTEM SET archive_command = 'false'");
    await real.sql('SELECT pg_reload_conf()');
    await real.sql("INSERT INTO story VALUES (7000, 'not archived')");
    const spoil = beforeReplay(() => rmSync(join(story.real.places.postgresData, 'recovery.signal')));
    const failed = await attempt({ target: 'latest' }, { onChange: spoil, ctx });
    expect(failed.error).toBeDefined();
    undone.pop();
    const again = await attempt({ target: 'latest' }, { ctx, earlier: failed.facts });
    expect(again.error?.message).toBeUndefined();
    expect((await real.sql('SELECT id FROM story ORDER BY id')).map(({ id }) => id)).toEqual([1000, 7000]);
    const name = `main.since-${ctx.runId}`;
    expect(readdirSync(disk).sort()).toEqual(['main', name, `${name}-2`]);
    expect(realpathSync(link())).toBe(join(disk, `${name}-2`));
    expect(realpathSync(join(`${again.facts.aside}-attempt`, 'pg_wal'))).toBe(join(disk, name));
    await undoLast();
    expect(realpathSync(link())).toBe(log);
    await real.sql('ALTER SYSTEM RESET archive_command');
    await real.sql('SELECT pg_reload_conf()');
    await real.sql('DELETE FROM story WHERE id = 7000');
    await nextSegment(real);
  });

  describe('of a program that is killed while it brings the log there', () => {
    const environment = { NOVAMEM_RUNBOOK_HOME: homeFolder() };
    const unattended = () => ['--profile', story.real.places.profile, '--confirm', story.real.cluster.name];
    const coming = () => readdirSync(disk).some((name) => name !== 'main');

    async function killedHalfWay(): Promise<string> {
      const sets = ['--set', `point-in-time.target=${story.before}`, '--set', 'reconcile-choice.answer=keep'];
      const child = spawn(
        process.execPath,
        [PROGRAM, 'run', '--headless', 'postgres-point-in-time', ...sets, ...unattended()],
        { cwd: ROOT, env: { ...process.env, ...environment }, stdio: 'ignore' },
      );
      const over = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      while (!coming()) {
        if (child.exitCode !== null) throw new Error('it ended before it brought anything');
        await new Promise((resolve) => setImmediate(resolve));
      }
      child.kill('SIGKILL');
      await over;
      expect(leftBeside(story.real).filter((name) => name.includes('.before-'))).toEqual([]);
      return findRun('latest').id;
    }
    const done = async (...args: string[]) => {
      const ended = await runProgram([...args, ...unattended()], { environment, timeoutMs: 120_000 });
      expect(ended.exitCode, ended.stdout + ended.stderr).toBe(0);
      return ended.stdout;
    };

    test('resume brings it to its end, and an undo all back', async () => {
      const run = await killedHalfWay();
      await done('resume', '--headless', run);
      expect(await rowsOf(story.real)).toBe(200);
      expect(readdirSync(disk).sort()).toEqual(['main', `main.since-${run}`]);
      expect(realpathSync(link())).toBe(join(disk, `main.since-${run}`));
      await done('undo', run);
      expect(await rowsOf(story.real)).toBe(1);
      expect(realpathSync(link())).toBe(log);
    });

    test('undo leaves nothing of it', async () => {
      await done('undo', await killedHalfWay());
      expect(await rowsOf(story.real)).toBe(1);
      expect(readdirSync(disk)).toEqual(['main']);
      expect(leftBeside(story.real)).toEqual([]);
    });
  });

  describe.skipIf(mounting)(
    `with disks that are mounted for it${mounting ? ` (not run here: ${mounting})` : ''}`,
    () => {
      const mounts: string[] = [];
      const mount = (folder: string, ...args: string[]) => {
        mkdirSync(folder, { recursive: true });
        const { status, stderr } = spawnSync('mount', [...args, folder]);
        if (status !== 0) throw new Error(String(stderr));
        mounts.push(folder);
      };
      const bytesIn = (folder: string) => {
        const { blocks, bfree, bsize } = statfsSync(folder);
        return (blocks - bfree) * bsize;
      };
      afterAll(() => {
        for (const folder of mounts.splice(0).reverse()) spawnSync('umount', ['-l', folder]);
      });

      test('room for the log is asked of the disk that it lies on', async () => {
        const { real } = story;
        const small = join(folderOnOtherDisk(), 'small');
        mount(small, '-t', 'tmpfs', 'tmpfs');
        await logMovedTo(join(small, 'main'), real);
        const limit = (bytes: number) => spawnSync('mount', ['-o', `remount,size=${bytes}`, small]);
        limit(bytesIn(small) + 20_000_000);
        const found = blocking(await look(real, { target: story.before }));
        expect(found.map(({ message }) => message)).toEqual([
          expect.stringMatching(
            new RegExp(`^${small} has 1\\d\\.\\d MiB free, and \\S+ MiB are needed for the write-ahead log`),
          ),
        ]);
        limit(4_000_000_000);
        expect(blocking(await look(real, { target: story.before }))).toEqual([]);
        await logMovedTo(log, real);
      });

      test('a log at the top of its disk, and a data directory at that of another, make place within', async () => {
        const { real } = story;
        const top = join(folderOnOtherDisk(), 'wal');
        mount(top, '-t', 'tmpfs', 'tmpfs');
        await logMovedTo(top, real);
        const dataDir = await onOwnVolume(real);
        const recovered = await attempt({ target: story.before });
        expect(recovered.error?.message).toBeUndefined();
        expect(await failedChecks(recovered)).toEqual([]);
        const now = realpathSync(join(dataDir, 'pg_wal'));
        expect(now).toBe(join(top, `pg_wal.since-${recovered.ctx.runId}`));
        const ctx = recovered.ctx;
        expect(dirname(recovered.facts.aside!)).toBe(dataDir);
        await nextSegment(real);

        const next = await attempt({ target: 'latest' });
        expect(next.error?.message).toBeUndefined();
        expect(await failedChecks(next)).toEqual([]);
        expect(realpathSync(join(dataDir, 'pg_wal'))).toBe(join(top, `pg_wal.since-${next.ctx.runId}`));
        await undoLast();
        expect(realpathSync(join(dataDir, 'pg_wal'))).toBe(join(top, `pg_wal.since-${ctx.runId}`));
        await undoLast();
        expect(realpathSync(join(dataDir, 'pg_wal'))).toBe(top);
        expect(await rowsOf(real)).toBe(1);
      });
    },
  );
});
