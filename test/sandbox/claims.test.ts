import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { homeSubfolder } from '../../src/config/home.js';
import { SERVICES } from '../../src/config/profile.js';
import { listRecords, readRecord } from '../../src/sandbox/registry.js';
import { sandboxDown, sandboxStatus, sandboxUp } from '../../src/sandbox/sandbox.js';
import { eventually, isRunning, killAll, processes } from '../support/eventually.js';
import { serversOf } from '../support/servers-of.js';
import { tempFolder } from '../support/temp.js';

const names: string[] = [];
const others: ChildProcess[] = [];
const orphans: number[] = [];

beforeEach(() => {
  process.env.NOVAMEM_RUNBOOK_HOME = tempFolder('home');
});

afterEach(async () => {
  for (const other of others.splice(0)) other.kill('SIGKILL');
  for (const name of names.splice(0)) await sandboxDown(name);
  killAll(orphans.splice(0));
});

function newName(): string {
  const name = `claim-${randomBytes(4).toString('hex')}`;
  names.push(name);
  return name;
}

const foldersOf = (name: string) => readdirSync(tmpdir()).filter((one) => one.includes(`sandbox-${name}-`));

/** Another program that is ready to make a sandbox, and begins when it is told to. */
async function another(name: string) {
  const script = join(tempFolder('other'), 'other.mjs');
  const from = (module: string) => pathToFileURL(join(import.meta.dirname, '../../dist', module));
  writeFileSync(
    script,
    `import { sandboxUp } from '${from('sandbox/sandbox.js')}';
import { Problem } from '${from('problem.js')}';
console.log('ready');
process.stdin.once('data', async () => {
  try {
    await sandboxUp({ name: '${name}', memories: 0 });
    console.log('up');
  } catch (error) {
    console.log((error instanceof Problem ? 'problem: ' : 'error: ') + error.message);
  }
  process.exit();
});
`,
  );
  const child = spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  others.push(child);
  let said = '';
  child.stdout!.on('data', (text) => {
    said += text;
  });
  const closed = once(child, 'close');
  await eventually('it is ready', () => said.startsWith('ready'));
  return {
    begin: () => child.stdin!.write('go\n'),
    answer: closed.then(() => said.trim().split('\n').at(-1)!),
  };
}

describe('a sandbox that two programs make at once', () => {
  test('comes up for one, the other is told whose it is, and nothing is left of either afterwards', async () => {
    const name = newName();
    const both = await Promise.all([another(name), another(name)]);
    for (const one of both) one.begin();
    const answers = (await Promise.all(both.map((one) => one.answer))).sort();
    expect(answers).toEqual([
      expect.stringMatching(
        new RegExp(`^problem: Another process \\(pid \\d+\\) is just making the sandbox ${name}`),
      ),
      'up',
    ]);
    const record = readRecord(name)!;
    expect(record.state).toBe('up');
    expect(foldersOf(name)).toHaveLength(1);
    const servers = serversOf(record);
    expect(await sandboxDown(name)).toBe(true);
    await eventually('its processes are gone', () => !servers.some(isRunning));
    expect(foldersOf(name)).toEqual([]);
    expect(processes().filter((one) => one.command.includes(name))).toEqual([]);
    expect(listRecords()).toEqual([]);
    expect(readdirSync(homeSubfolder('sandboxes'))).toEqual([]);
  });
});

describe('a sandbox whose folder was removed', () => {
  test('is found stale by the next up of that name, which says so and makes it anew', async () => {
    const record = await sandboxUp({ name: newName(), memories: 0 });
    // Which processes were its own is told by files in that folder only: they are ended here, by their ids.
    orphans.push(...serversOf(record));
    rmSync(record.folder, { recursive: true, force: true, maxRetries: 5 });
    const said: string[] = [];
    const again = await sandboxUp({ name: record.name, memories: 0, onLine: (line) => said.push(line) });
    expect(said).toContainEqual(expect.stringContaining(record.name));
    expect(again.folder).not.toBe(record.folder);
    expect(existsSync(again.folder)).toBe(true);
    const [status] = await sandboxStatus();
    expect(status).toMatchObject({ name: record.name, folder: again.folder, state: 'up' });
    expect(status!.running).toHaveLength(SERVICES.length);
  });
});
