import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { endOf, JOURNAL_FILE, type JournalEvent } from '../../src/engine/journal.js';
import { findRun } from '../../src/engine/runs.js';
import { filesBelow } from '../../src/hosts/files.js';
import { MANIFEST_FILE } from '../../src/stores/backup-set/manifest.js';
import { PROGRAM, runFile } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';
import { whyNot } from '../support/tools.js';

// What the program has the disk keep, and when, as the kernel saw it: what is not on disk by then is what a power cut may take.

const CALLS = 'openat,write,fsync,fdatasync,rename,renameat,renameat2';
const missing = whyNot('strace', '-f', '-b', 'execve', '-o', '/dev/null', 'true');

/** One call of the system that has ended: what was written, or what it was done to. */
interface Call {
  name: 'create' | 'write' | 'sync' | 'rename';
  path: string;
  /** Beginning of what was written; for a rename, what it was called before. */
  text: string;
}

/** Runs the program under the eyes of strace; answers what it did, in order, without the programs that it started. */
async function watched(...args: string[]): Promise<Call[]> {
  const file = join(tempFolder('strace'), 'calls');
  const strace = ['-f', '-b', 'execve', '-y', '-s', '400', '-e', `trace=${CALLS}`, '-o', file];
  const ended = await runFile('strace', [...strace, process.execPath, PROGRAM, ...args], {
    environment: { NOVAMEM_RUNBOOK_HOME: process.env.NOVAMEM_RUNBOOK_HOME! },
    timeoutMs: 170_000,
  });
  expect(ended.exitCode, ended.stdout + ended.stderr).toBe(0);
  return callsIn(readFileSync(file, 'utf8'));
}

function callsIn(trace: string): Call[] {
  const begun = new Map<string, string>();
  return trace.split('\n').flatMap((line) => {
    const [, thread, said] = /^(\d+) +(.*)$/.exec(line) ?? [];
    if (thread === undefined || said === undefined) return [];
    const first = /^(.*) <unfinished \.\.\.>$/.exec(said);
    if (first) {
      begun.set(thread, first[1]!);
      return [];
    }
    const rest = /^<\.\.\. \w+ resumed>(.*)$/.exec(said);
    return callOf(rest ? `${begun.get(thread) ?? ''}${rest[1]}` : said);
  });
}

function callOf(said: string): Call[] {
  const [, name, inner, result] = /^(\w+)\((.*)\) += (-?\d+).*$/s.exec(said) ?? [];
  if (inner === undefined || Number(result) < 0) return [];
  if (name === 'openat')
    return /O_CREAT/.test(inner) ? [{ name: 'create', path: /"([^"]*)"/.exec(inner)![1]!, text: '' }] : [];
  if (name?.startsWith('rename')) {
    const [from, to] = [...inner.matchAll(/"([^"]*)"/g)].map((match) => match[1]!);
    return [{ name: 'rename', path: to!, text: from! }];
  }
  const path = /^\d+<([^>]*)>/.exec(inner)?.[1] ?? '';
  return name === 'write' ? [{ name: 'write', path, text: inner }] : [{ name: 'sync', path, text: '' }];
}

let real: RealCluster;
let backup: Call[];
let rescue: Call[];
let events: JournalEvent[];
let folder: string;

beforeAll(async () => {
  if (missing) return;
  real = await realCluster(300);
  const profile = ['--profile', real.places.profile];
  backup = await watched('backup', ...profile);
  rescue = await watched('run', 'whole-cluster-lost', '--headless', ...profile, '--confirm', real.cluster.name);
  ({ events, folder } = findRun('latest'));
});

const synced = (calls: Call[], path: string) => calls.findIndex((call) => call.name === 'sync' && call.path === path);

describe.skipIf(missing)(`on disk${missing ? ` (not run here: ${missing})` : ''}`, () => {
  test('is every line of the journal before the program does anything else', () => {
    const own = rescue.filter(({ path }) => path === join(folder, JOURNAL_FILE));
    const lines = own.filter((call) => call.name === 'write');
    expect(lines).toHaveLength(events.length);
    const unkept = own.flatMap((call, at) =>
      call.name === 'write' && own[at + 1]?.name !== 'sync' ? [call.text] : [],
    );
    for (const text of unkept) expect(text).toMatch(/step\.progress/);
    expect(endOf(events)?.outcome).toBe('recovered');
  });

  test('is the folder of a run, with those above it, before its journal has a line', () => {
    const file = join(folder, JOURNAL_FILE);
    const before = rescue.slice(
      rescue.findIndex((call) => call.name === 'create' && call.path === file),
      rescue.findIndex((call) => call.name === 'write' && call.path === file),
    );
    for (const above of [folder, dirname(folder), dirname(dirname(folder))])
      expect(synced(before, above), above).toBeGreaterThan(-1);
  });

  test('is every safety copy, with the folders it lies in, before it is told of', () => {
    const copies = events.filter((event) => event.type === 'step.safety-copy' && event.at.startsWith('/'));
    expect(copies.length).toBeGreaterThanOrEqual(3);
    for (const { at } of copies as { at: string }[]) {
      const told = rescue.findIndex(
        (call) =>
          call.name === 'write' && call.path.endsWith(JOURNAL_FILE) && call.text.includes(`\\"at\\":\\"${at}\\"`),
      );
      expect(told, at).toBeGreaterThan(-1);
      const before = rescue.slice(0, told);
      const moved = before.findLastIndex((call) => call.name === 'rename' && call.path === at);
      if (moved === -1) expect(synced(before, at), at).toBeGreaterThan(-1);
      expect(synced(before.slice(moved + 1), dirname(at)), at).toBeGreaterThan(-1);
      if (moved !== -1) expect(synced(before.slice(moved + 1), dirname(before[moved]!.text)), at).toBeGreaterThan(-1);
    }
  });

  test('is every file of a backup set before its manifest has its name, and then that', async () => {
    const named = backup.findIndex((call) => call.name === 'rename' && basename(call.path) === MANIFEST_FILE);
    const { path, text } = backup[named]!;
    const before = backup.slice(0, named);
    for (const file of await filesBelow(dirname(path)))
      if (file !== MANIFEST_FILE) expect(synced(before, join(dirname(path), file)), file).toBeGreaterThan(-1);
    expect(synced(before, text)).toBeGreaterThan(-1);
    const after = backup.slice(named);
    for (const above of [dirname(path), dirname(dirname(path))])
      expect(synced(after, above), above).toBeGreaterThan(-1);
  });

  test('is the seal of a journal before it has its name', () => {
    const named = rescue.findIndex((call) => call.name === 'rename' && call.path === join(folder, 'journal.seal'));
    expect(synced(rescue.slice(0, named), rescue[named]!.text)).toBeGreaterThan(-1);
    expect(synced(rescue.slice(named), folder)).toBeGreaterThan(-1);
  });
});
