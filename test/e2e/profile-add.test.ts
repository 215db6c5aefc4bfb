import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { readProfile } from '../../src/config/profiles.js';
import { freePorts } from '../../src/sandbox/free-ports.js';
import { runProgram } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';
import type { ProgramInTerminal } from '../support/terminal.js';
import { terminals } from '../support/terminals.js';

const ENTER = '\r';
const ESCAPE = '\u001b';
const DOWN = '\u001b[B';
const open = terminals();
let real: RealCluster;
let unused: number;

beforeAll(async () => {
  real = await realCluster(60);
  [unused] = (await freePorts(1)) as [number];
});

/** Waits for a question and answers it. */
async function answer(program: ProgramInTerminal, asked: RegExp, text: string): Promise<void> {
  await program.shows(asked);
  if (text !== '') {
    program.type(text);
    await program.shows(/^ > \S/m);
  }
  program.type(ENTER);
}

/** Chooses the highlighted answer once the screen shows something. */
async function choose(program: ProgramInTerminal, shown: RegExp, downs = 0): Promise<string> {
  const screen = await program.shows(shown);
  for (let at = 0; at < downs; at += 1) {
    const [, before] = /❯ (.*)/.exec(program.screen().join('\n'))!;
    program.type(DOWN);
    await program.shows(new RegExp(`❯ (?!${before!.slice(0, 12).replace(/[^\w ]/g, '.')})`));
  }
  program.type(ENTER);
  return screen;
}

it('asks, tries each connection, lets what is wrong be corrected, and writes references only', async () => {
  const home = tempFolder('home');
  const { postgres, qdrant, falkordb, novamem } = real.cluster.profile;
  const program = open(['profile', 'add'], { environment: { NOVAMEM_RUNBOOK_HOME: home } });

  await answer(program, /What is the cluster called\?/, 'acme prod');
  await answer(program, /✗ letters, digits, dot, dash and underscore/, 'acme-prod');
  await choose(program, /Is it production\?/);

  await answer(program, /Where is Postgres/, 'postgres://novamem:hunter2@127.0.0.1/novamem');
  await answer(program, /✗ holds a password; take it out/, `postgres://novamem@127.0.0.1:${unused}/novamem`);
  await answer(program, /Where does the password of Postgres/, postgres.passwordFrom!);
  const refused = await choose(program, /✗ Postgres is not reached/);
  expect(refused).toMatch(/ECONNREFUSED/);
  expect(refused).toContain('see that Postgres runs, and that its host and port are right');
  // Corrected: the first question of that part again, with the answer of before.
  await answer(
    program,
    new RegExp(`Where is Postgres[\\s\\S]*enter alone: postgres://novamem@127.0.0.1:${unused}`),
    postgres.url,
  );
  await answer(program, /Where does the password/, `file:${join(home, 'nothing')}`);
  await choose(program, /✗ Postgres was not tried[\s\S]*no such file/);
  await answer(program, /Where is Postgres/, '');
  await answer(program, /Where does the password/, falkordb.passwordFrom!);
  await choose(program, /✗ Postgres does not accept this login[\s\S]*password authentication failed/);
  await answer(program, /Where is Postgres/, '');
  await answer(program, /Where does the password/, postgres.passwordFrom!);
  await choose(program, /● Postgres answers[\s\S]*PostgreSQL \d+\.\d+, logged in as novamem/);

  await answer(program, /Where is Qdrant/, qdrant.url.replace('http:', 'https:'));
  await answer(program, /Which CA has signed/, '');
  await answer(program, /Which certificate does this program show to Qdrant/, '/etc/novamem/client.pem');
  await answer(program, /Where is the private key of that certificate\?/, '');
  await answer(program, /✗ it is needed: a certificate without its key/, '/etc/novamem/client.key');
  await answer(program, /Where does the API key/, qdrant.apiKeyFrom!);
  await choose(program, /✗ Qdrant [\s\S]*\/etc\/novamem\/client\.(pem|key)/);
  await answer(program, /Where is Qdrant/, '');
  await answer(program, /Which CA has signed/, '');
  await answer(program, /Which certificate[\s\S]*enter alone: \/etc\/novamem\/client\.pem/, 'none');
  await answer(program, /Where does the API key/, '');
  await choose(program, /✗ Qdrant is there, but TLS with it is not agreed on/);
  await answer(program, /Where is Qdrant/, qdrant.url);
  await answer(program, /Where does the API key/, 'none');
  await choose(program, /✗ Qdrant does not accept this login/);
  await answer(program, /Where is Qdrant/, '');
  await answer(program, /Where does the API key/, qdrant.apiKeyFrom!);
  await choose(program, /● Qdrant answers/);

  await answer(program, /Where is FalkorDB/, falkordb.url);
  await answer(program, /Where does the password of FalkorDB/, falkordb.passwordFrom!);
  await choose(program, /● FalkorDB answers[\s\S]*it has the graph novamem/);
  // The server said it.
  await answer(program, /Where does FalkorDB keep its files\?[\s\S]*enter alone: \//, '');
  await answer(program, /Where is novamem itself/, novamem!.url);
  await answer(program, /Where does the token/, novamem!.tokenFrom!);
  await choose(program, /● novamem answers/);
  await choose(program, /What stops and starts the services\?/, 1);
  await program.shows(/Into which folder do backups go\?/);
  program.type(ESCAPE);
  await choose(program, /What stops and starts the services\?[\s\S]*❯ systemd/);
  await answer(program, /Into which folder do backups go\?/, 'backups');
  await answer(program, /✗ a whole path is needed/, 's3://acme-backups/novamem');
  await answer(program, /Where does Postgres archive its log/, 'wal');
  await answer(program, /✗ a whole path is needed/, '/backups/wal');
  // The server said it.
  await answer(program, /Where does Postgres keep its data\?[\s\S]*enter alone: \//, '');
  const file = join(home, 'profiles', 'acme-prod.yaml');
  await choose(program, /It is written to/);

  expect(await program.exited).toBe(0);
  expect(program.scrollback()).toContain('The profile acme-prod is remembered, and used when none is named.');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(parse(readFileSync(file, 'utf8'))).toEqual({
    name: 'acme-prod',
    production: true,
    postgres: {
      url: postgres.url,
      passwordFrom: postgres.passwordFrom,
      dataDir: postgres.dataDir,
      walArchive: '/backups/wal',
    },
    qdrant: { url: qdrant.url, apiKeyFrom: qdrant.apiKeyFrom },
    falkordb: { url: falkordb.url, passwordFrom: falkordb.passwordFrom, dataDir: falkordb.dataDir },
    novamem: { url: novamem!.url, tokenFrom: novamem!.tokenFrom },
    services: {
      novamem: { driver: 'systemd', unit: 'novamem' },
      postgres: { driver: 'systemd', unit: 'postgresql' },
      qdrant: { driver: 'systemd', unit: 'qdrant' },
      falkordb: { driver: 'systemd', unit: 'falkordb' },
    },
    backups: ['s3://acme-backups/novamem'],
  });
  expect(readProfile(file).name).toBe('acme-prod');
  const listed = await runProgram(['profile', 'list', '--json'], { environment: { NOVAMEM_RUNBOOK_HOME: home } });
  expect(JSON.parse(listed.stdout)[0]).toEqual({ name: 'acme-prod', file, current: true });
});

it('writes nothing when it is left', async () => {
  const home = tempFolder('home');
  const program = open(['profile', 'add', '--output', join(home, 'mine.yaml')], {
    environment: { NOVAMEM_RUNBOOK_HOME: home },
  });
  await answer(program, /What is the cluster called\?/, 'acme');
  await program.shows(/Is it production\?/);
  program.type(ESCAPE);
  await program.shows(/What is the cluster called\?[\s\S]*enter alone: acme/);
  program.type(ESCAPE);
  expect(await program.exited).toBe(130);
  expect(program.scrollback()).toContain('No profile was written.');
  expect(existsSync(join(home, 'mine.yaml'))).toBe(false);
});

it('asks line by line for a screen reader', async () => {
  const home = tempFolder('home');
  const program = open(['profile', 'add', '--screen-reader'], {
    columns: 200,
    environment: { NOVAMEM_RUNBOOK_HOME: home },
  });
  await program.shows(/What is the cluster called\?/);
  program.type(`acme${ENTER}`);
  await program.shows(/Is it production\?[\s\S]*chosen: yes/);
  program.type(ENTER);
  await program.shows(/Where is Postgres[\s\S]*enter alone: postgres:\/\/novamem@127\.0\.0\.1:5432/);
  expect(program.onAlternateScreen).toBe(false);
  program.type('\u0003');
  expect(await program.exited).toBe(130);
});
