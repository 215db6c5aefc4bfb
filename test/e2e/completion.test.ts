import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { findProgram } from '../../src/hosts/find-program.js';
import { scenarios } from '../../src/runbook/library.js';
import { PROGRAM, ROOT, runFile, runProgram } from '../support/program.js';
import { tempFolder } from '../support/temp.js';

const home = tempFolder('home');
const bin = join(tempFolder('bin'), 'bin');
const environment = { NOVAMEM_RUNBOOK_HOME: home, PATH: `${bin}:${dirname(process.execPath)}:${process.env.PATH}` };

beforeAll(async () => {
  mkdirSync(bin);
  symlinkSync(PROGRAM, join(bin, 'novamem-runbook'));
  const file = join(home, 'mine.yaml');
  writeFileSync(
    file,
    `name: acme-prod
postgres: { url: "postgres://a@127.0.0.1/a" }
qdrant: { url: "http://127.0.0.1:1" }
falkordb: { url: "redis://127.0.0.1:1" }
`,
  );
  expect((await runProgram(['profile', 'add', file], { environment })).exitCode).toBe(0);
});

/** What bash really offers for a line, the cursor at its end. */
async function bash(...words: string[]): Promise<string[]> {
  const script = `
source <(novamem-runbook completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_novamem_runbook
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const ended = await runFile('bash', ['--norc', '-c', script, 'bash', 'novamem-runbook', ...words], { environment });
  expect(ended).toMatchObject({ exitCode: 0, stderr: '' });
  return ended.stdout.trim().split('\n').filter(Boolean);
}

describe('bash completes', () => {
  test('commands, and none that is hidden', async () => {
    expect(await bash('pr')).toEqual(['profile']);
    expect(await bash('comp')).toEqual(['completion']);
    expect(await bash('profile', '')).toEqual(['add', 'import-env', 'list', 'show', 'use', 'remove', 'help']);
  });

  test('options of the command, and values that one has', async () => {
    expect(await bash('drill', '--ju')).toEqual(['--junit']);
    expect(await bash('status', '--format', '')).toEqual(['text', 'json', 'prometheus']);
    expect(await bash('completion', '')).toEqual(['bash', 'zsh', 'fish']);
  });

  test('scenarios, remembered profiles and lessons, also behind other options', async () => {
    expect(await bash('plan', '')).toEqual(scenarios());
    expect(await bash('profile', 'use', '')).toEqual(['acme-prod']);
    expect(await bash('run', 'backup', '--headless', '--profile', 'ac')).toEqual(['acme-prod']);
    expect(await bash('train', 'first')).toEqual(['first-night']);
  });

  test('files where a file is meant', async () => {
    expect(await bash('validate', join(ROOT, 'LIC'))).toEqual([join(ROOT, 'LICENSE')]);
    expect(await bash('profile', 'add', `${home}/mi`)).toEqual([`${home}/mine.yaml`]);
  });
});

/** Where the script of a shell was written. */
async function scriptFor(shell: 'zsh' | 'fish'): Promise<string> {
  const { stdout } = await runProgram(['completion', shell], { environment });
  const file = join(home, `completion.${shell}`);
  writeFileSync(file, stdout);
  return file;
}

const isThere = async (shell: string) => (await findProgram(shell)) !== undefined;

test.skipIf(!(await isThere('zsh')))('zsh can read its script', async () => {
  expect(await runFile('zsh', ['-n', await scriptFor('zsh')])).toMatchObject({ exitCode: 0, stderr: '' });
});

test.skipIf(!(await isThere('fish')))(
  'fish completes commands with what they do, options, scenarios, files',
  async () => {
    const script = await scriptFor('fish');
    const offered = async (line: string) => {
      const ended = await runFile('fish', ['--no-config', '-c', `source ${script}; complete -C '${line}'`], {
        environment,
      });
      expect(ended).toMatchObject({ exitCode: 0, stderr: '' });
      return ended.stdout.trim().split('\n');
    };
    expect(await offered('novamem-runbook pr')).toEqual(['profile\thow to reach a cluster']);
    expect(await offered('novamem-runbook drill --ju')).toEqual([expect.stringMatching(/^--junit\t/)]);
    expect(await offered('novamem-runbook plan qdrant-l')).toEqual([expect.stringMatching(/^qdrant-lost\t/)]);
    expect(await offered(`novamem-runbook validate ${join(ROOT, 'LIC')}`)).toEqual([join(ROOT, 'LICENSE')]);
  },
);

test('the manual page names every command that the program has', async () => {
  const page = readFileSync(join(ROOT, 'man/novamem-runbook.1'), 'utf8').replaceAll('\\-', '-');
  const { stdout } = await runProgram(['--help'], { environment });
  const [, below = ''] = stdout.split('Commands:');
  const commands = [...below.matchAll(/^ {2}([a-z]+)\b/gm)]
    .map((match) => match[1]!)
    .filter((name) => name !== 'help');
  expect(commands.length).toBeGreaterThan(15);
  for (const command of commands) expect(page).toMatch(new RegExp(`^\\.B ${command}\\b`, 'm'));
});
