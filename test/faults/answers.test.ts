import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { findRun } from '../../src/engine/runs.js';
import { attempt, expectHarmless, RESTORES } from '../support/attempt.js';
import { type Fault, httpAnswer, qdrantError } from '../support/faulty-proxy.js';
import { runProgram } from '../support/program.js';
import { GIVING, qdrantThatAnswers, REFUSALS } from '../support/qdrant-that-answers.js';
import { tempFolder } from '../support/temp.js';

// Qdrant and what stands before it answer with refusals, nonsense and half of an answer: before a restore, and in the middle of one.

const { real, proxy, profile, restore, expectUntouched } = qdrantThatAnswers();

const LIST = /^GET \/collections$/;
const SNAPSHOT = /^POST \/collections\/[^/]+\/snapshots(\?|$)/;
const DOWNLOAD = /^GET \/collections\/[^/]+\/snapshots\/[^/]+$/;
const COUNT = /^POST \/collections\/[^/]+\/points\/count/;
const ESCAPES = '\u001b]0;owned\u0007\u001b[2J\u009b31mred\u202e';

const NONSENSE: [string, Buffer, RegExp][] = [
  ['no JSON', httpAnswer(200, '<html>Welcome to nginx!</html>', { type: 'text/html' }), /JSON|collections|undefined/],
  [
    'JSON of another kind',
    httpAnswer(200, '{"hello":"world"}'),
    /does not list its collections: Result came uninitialized/,
  ],
  ['an empty body', httpAnswer(200, ''), /JSON|collections|undefined/],
  ['half of an answer', httpAnswer(200, '{"result":{"coll', { length: 500 }), /closed|terminated|aborted|fetch/],
  ['a page of a proxy', httpAnswer(502, '<h1>502 Bad Gateway</h1>', { type: 'text/html' }), /HTTP 502/],
  ['escape sequences', qdrantError(500, ESCAPES), /HTTP 500: .*owned/],
  ['30 MB of an error', qdrantError(500, 'x'.repeat(30_000_000)), /HTTP 500/],
];

describe('Qdrant answers, before anything is begun,', () => {
  test.each(REFUSALS)('%i', async (status, words) => {
    const ended = await restore({ kind: 'answers', to: LIST, answer: qdrantError(status, words) });
    expect([ended.outcome, ended.exitCode, ended.changes]).toEqual(['failed', 1, []]);
    expect(ended.said).toMatch(
      new RegExp(`Qdrant at http://\\S+ does not list its collections: HTTP ${status}: ${words}`),
    );
    await expectUntouched();
  });

  test.each(NONSENSE)('%s', async (_what, answer, words) => {
    const ended = await restore({ kind: 'answers', to: LIST, answer });
    expect([ended.outcome, ended.exitCode, ended.changes]).toEqual(['failed', 1, []]);
    expect(ended.said).toMatch(words);
    expect(ended.journal.length).toBeLessThan(200_000);
    await expectUntouched();
  });
});

test.each([
  '1.9.0',
  '2.3.0',
])('a Qdrant of version %s is said not to be the one of the snapshots', async (version) => {
  const answer = httpAnswer(200, JSON.stringify({ title: 'qdrant', version }));
  await proxy().become({ kind: 'answers', to: /^GET \/$/, answer });
  const planned = await attempt(profile(), { scenario: RESTORES.qdrant, mode: 'dry-run' });
  await proxy().become();
  expect(planned.findings.join('\n')).toMatch(
    new RegExp(`warning: the snapshots are of Qdrant \\S+, and this is ${version}: Qdrant only promises`),
  );
  expect(planned.changes).toEqual([]);
});

const MIDDLE: [string, Fault, RegExp][] = [
  ...REFUSALS.filter(([status]) => status === 500).map(([status, words]): [string, Fault, RegExp] => [
    `refuses a snapshot with ${status}`,
    { kind: 'answers', to: GIVING, answer: qdrantError(status, words) },
    new RegExp(`HTTP ${status} ${words}`),
  ]),
  [
    'hangs up at a snapshot without a word',
    { kind: 'answers', to: GIVING, answer: '' },
    /hang up.*(was put back as it was before|an undo puts it back from there once Qdrant takes it)/,
  ],
  [
    'makes no safety snapshot',
    { kind: 'answers', to: SNAPSHOT, answer: qdrantError(500, 'No space left on device') },
    /No space left on device/,
  ],
];

/** These are met where the safety snapshot comes over the network, since its folder is not seen from here. */
const FETCHING: [string, Fault, RegExp][] = [
  [
    'gives only half of the safety snapshot',
    { kind: 'answers', to: DOWNLOAD, answer: httpAnswer(200, 'half', { length: 90_000 }) },
    /downloading \S+: (the answer broke off|\d+ bytes were announced, 4 came)/,
  ],
  [
    'gives another safety snapshot than it made',
    { kind: 'answers', to: DOWNLOAD, answer: httpAnswer(200, 'something else') },
    /SHA-256|checksum/,
  ],
];

describe('what Qdrant says in escape sequences', () => {
  test.each([
    [],
    ['--json'],
  ])('steers no terminal: neither the output nor a file of the run (%s)', async (...more) => {
    await proxy().become({ kind: 'answers', to: LIST, answer: qdrantError(500, ESCAPES) });
    const profileFile = join(tempFolder('profile'), 'proxied.yaml');
    writeFileSync(profileFile, stringify(profile()));
    const ended = await runProgram(
      [
        ...['run', RESTORES.qdrant, '--headless', '--confirm', real().cluster.name],
        ...['--profile', profileFile, '--accept', 'cluster', ...more],
      ],
      { environment: { NOVAMEM_RUNBOOK_HOME: process.env.NOVAMEM_RUNBOOK_HOME! } },
    );
    await proxy().become();
    expect(ended.exitCode).toBe(1);
    expect(ended.stdout).toContain('owned');
    const { folder, fault } = findRun('latest');
    expect(fault).toBe('');
    const files = execFileSync('find', [folder, '-type', 'f'], { encoding: 'utf8' }).trim().split('\n');
    expect(files.map((file) => basename(file))).toEqual(
      expect.arrayContaining(['report.md', 'report.html', 'journal.jsonl']),
    );
    for (const text of [ended.stdout, ended.stderr, ...files.map((file) => readFileSync(file, 'utf8'))])
      expectHarmless(text);
    await expectUntouched();
  });
});

describe('Qdrant, in the middle of a restore,', () => {
  test.each(MIDDLE)('%s: what was there is there', async (_what, fault, words) => {
    const ended = await restore(fault);
    expect([ended.outcome, ended.exitCode]).toEqual(['failed', 1]);
    expect(ended.said).toMatch(words);
    await expectUntouched();
  });

  test.each(FETCHING)('%s: what was there is there', async (_what, fault, words) => {
    const { dataDir: _, ...qdrant } = profile().qdrant;
    const ended = await restore(fault, RESTORES.qdrant, { ...profile(), qdrant });
    expect([ended.outcome, ended.exitCode]).toEqual(['failed', 1]);
    expect(ended.said).toMatch(words);
    await expectUntouched();
  });

  test('is reset in the middle of an upload: what was there is there', async () => {
    const ended = await restore({ kind: 'resets', of: 'request', after: 30_000 }, RESTORES.qdrantByUpload);
    expect([ended.outcome, ended.exitCode]).toEqual(['failed', 1]);
    expect(ended.said).toMatch(/ECONNRESET|EPIPE|hang up/);
    await expectUntouched();
  });

  test.each<[string, Fault, RegExp]>([
    [
      'refuses the second snapshot',
      { kind: 'answers', to: GIVING, after: 1, answer: qdrantError(507, 'No space left') },
      /No space left/,
    ],
    [
      'cannot be asked any more once the backup is in',
      { kind: 'answers', to: COUNT, since: GIVING, answer: qdrantError(503, 'Gone') },
      /Qdrant at http:\/\/\S+ \(count\): HTTP 503: Gone/,
    ],
  ])('%s: the safety copies are there, and undo puts them back', async (_what, fault, words) => {
    const ended = await restore(fault);
    expect([ended.outcome, ended.exitCode]).toEqual(['failed', 1]);
    expect(ended.said).toMatch(words);
    const copies = ended.events.flatMap((event) => (event.type === 'step.safety-copy' ? [event.at] : []));
    expect(copies.filter(existsSync)).toEqual(copies);
    expect(copies).not.toEqual([]);
    const profileFile = join(tempFolder('profile'), 'proxied.yaml');
    writeFileSync(profileFile, stringify(profile()));
    const undone = await runProgram(['undo', '--profile', profileFile, '--confirm', real().cluster.name], {
      environment: { NOVAMEM_RUNBOOK_HOME: process.env.NOVAMEM_RUNBOOK_HOME! },
    });
    expect(undone.stdout + undone.stderr).toMatch(/undone: what it had replaced was put back/);
    await expectUntouched();
  });
});
