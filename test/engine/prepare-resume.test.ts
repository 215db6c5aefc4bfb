import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Difference } from '../../src/engine/differences.js';
import { SEAL_FILE } from '../../src/engine/journal.js';
import { newestResumable, prepareResume } from '../../src/engine/prepare-resume.js';
import { prepareRun } from '../../src/engine/prepare-run.js';
import type { Run } from '../../src/engine/run.js';
import { findRun, listRuns } from '../../src/engine/runs.js';
import { EXIT, type Problem } from '../../src/problem.js';
import type { Cluster } from '../../src/stores/cluster.js';
import { eventually } from '../support/eventually.js';
import { tempFolder } from '../support/temp.js';
import { absentCluster, outcomesIn } from '../support/tiny-run.js';

// Runs that ask a person and touch no store; their cluster is nowhere.

let cluster: Cluster;
let file: string;

const RUNBOOK = `title: Two questions
when: now
outcome: Both were answered.
steps:
  - id: first
    uses: operator.confirm
    with: { question: Is it gone?, words: it is gone }
    why: To be sure.
  - id: second
    uses: operator.choose
    needs: [first]
    with:
      question: Which way?
      options: [{ choice: left, title: Left, because: shorter }, { choice: right, title: Right, because: nicer }]
    why: There are two.
`;

beforeEach(() => {
  process.env.NOVAMEM_RUNBOOK_HOME = tempFolder('home');
  cluster = absentCluster();
  file = join(tempFolder('runbook'), 'two.yaml');
  writeFileSync(file, RUNBOOK);
});

const begun = async (mode: 'live' | 'dry-run' = 'live'): Promise<Run> => {
  const { profile } = cluster;
  const run = await prepareRun({ scenario: file, profile, mode, backup: 'none', overrides: {}, onFailure: 'ask' });
  await run.preflight();
  run.intend({ type: 'begin' });
  return run;
};
const folderOf = (run: Run) => dirname(run.journalFile);
const stateOf = (run: Run, id: string) => run.getSnapshot().steps.find((one) => one.id === id)!.state;
const asking = (run: Run, id: string) => eventually(`${id} asks`, () => stateOf(run, id) === 'asking');
const answer = (run: Run, step: string, text: string) => run.intend({ type: 'answer', step, answer: text });

interface Asked {
  profile?: Cluster['profile'];
  accept?: Difference[];
}

const resume = (folder: string, { profile = cluster.profile, accept = [] }: Asked = {}) =>
  prepareResume({ recorded: findRun(folder), profile, onFailure: 'ask', accept, takeOver: false });

async function refusal(folder: string, asked: Asked = {}): Promise<Problem> {
  const error = await resume(folder, asked).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ name: 'Problem', safe: 'Nothing was changed.' });
  return error as Problem;
}

/** A run that was answered once and then stopped; it lies there as an aborted one. */
async function stoppedHalfWay(): Promise<string> {
  const run = await begun();
  await asking(run, 'first');
  answer(run, 'first', 'it is gone');
  await asking(run, 'second');
  run.intend({ type: 'abort' });
  expect(await run.finished).toBe('aborted');
  return folderOf(run);
}

describe('a run that was stopped half-way', () => {
  test('goes on with what is left; what was answered is not asked again', async () => {
    const folder = await stoppedHalfWay();
    expect(existsSync(join(folder, SEAL_FILE))).toBe(true);
    const run = await resume(folder);
    expect(stateOf(run, 'first')).toBe('succeeded');
    await run.preflight();
    run.intend({ type: 'begin' });
    await asking(run, 'second');
    answer(run, 'second', 'right');
    expect(await run.finished).toBe('recovered');
    expect(outcomesIn(run)).toEqual({ first: 'succeeded', second: 'succeeded' });
    const { events, fault } = findRun(folder);
    expect(fault).toBe('');
    expect(events.filter((event) => event.type === 'step.started').map((event) => event.step)).toEqual([
      'first',
      'second',
    ]);
    expect(events.filter((event) => event.type === 'run.resumed')).toMatchObject([{ cutOff: 0, accepted: [] }]);
  });

  test('is the newest that can go on, until one of that cluster has reached its goal', async () => {
    const folder = await stoppedHalfWay();
    expect(newestResumable().folder).toBe(folder);
    expect(newestResumable('acme-test').folder).toBe(folder);
    expect(() => newestResumable('another')).toThrow(/There is no run to go on with/);
    const run = await begun();
    await asking(run, 'first');
    answer(run, 'first', 'it is gone');
    await asking(run, 'second');
    answer(run, 'second', 'left');
    expect(await run.finished).toBe('recovered');
    expect(() => newestResumable()).toThrow(/There is no run to go on with/);
    expect((await refusal(folderOf(run))).message).toMatch(/has ended: recovered/);
  });

  test('is the newest also when the clock was set back before it', async () => {
    const ahead = join(process.env.NOVAMEM_RUNBOOK_HOME!, 'runs', '29991231T235959Z-3e7ff');
    mkdirSync(ahead, { recursive: true });
    writeFileSync(join(ahead, 'journal.jsonl'), '');
    const folder = await stoppedHalfWay();
    expect(listRuns()).toEqual([basename(folder), basename(ahead)]);
    expect(newestResumable().folder).toBe(folder);
  });

  test('goes on although its process died in the middle of a line, which is cut off', async () => {
    const folder = await stoppedHalfWay();
    const journal = join(folder, 'journal.jsonl');
    // As it was before its last line: a process that is killed seals nothing.
    const lines = readFileSync(journal, 'utf8').split('\n').slice(0, -2);
    writeFileSync(journal, `${lines.join('\n')}\n`);
    appendFileSync(journal, Buffer.from('{"seq":99,"text":"Zürich').subarray(0, 20));
    const run = await resume(folder);
    await run.preflight();
    run.intend({ type: 'abort' });
    await run.finished;
    const { events, fault } = findRun(folder);
    expect(fault).toBe('');
    expect(events.find((event) => event.type === 'run.resumed')).toMatchObject({ cutOff: 20 });
  });

  test('whose journal was changed is refused', async () => {
    const folder = await stoppedHalfWay();
    const journal = join(folder, 'journal.jsonl');
    writeFileSync(journal, readFileSync(journal, 'utf8').replace('"typed":"it is gone"', '"typed":"it is here"'));
    const { message, exitCode } = await refusal(folder);
    expect(message).toMatch(/is not the one that was written: line \d+ does not follow/);
    expect(exitCode).toBe(EXIT.refused);
  });

  test('whose runbook was changed is refused, unless that is accepted', async () => {
    const folder = await stoppedHalfWay();
    writeFileSync(file, `${RUNBOOK}# another\n`);
    expect(await refusal(folder)).toMatchObject({
      exitCode: EXIT.refused,
      next: expect.stringContaining('--accept runbook'),
    });
    const run = await resume(folder, { accept: ['runbook'] });
    await run.preflight();
    expect(findRun(folder).events.find((event) => event.type === 'run.resumed')).toMatchObject({
      accepted: ['another runbook'],
    });
    run.intend({ type: 'abort' });
    await run.finished;
  });

  test('whose cluster is another one now is refused, unless that is accepted', async () => {
    const folder = await stoppedHalfWay();
    const profile = { ...cluster.profile, qdrant: { ...cluster.profile.qdrant, url: 'http://127.0.0.1:2' } };
    const { message, exitCode } = await refusal(folder, { profile });
    expect(message).toMatch(/Qdrant was at http:\/\/127\.0\.0\.1:1, and is at http:\/\/127\.0\.0\.1:2/);
    expect(exitCode).toBe(EXIT.refused);
    const run = await resume(folder, { profile, accept: ['cluster'] });
    await run.leave();
    expect((await refusal(folder, { profile: { ...cluster.profile, name: 'other' } })).message).toMatch(
      /is of the cluster "acme-test"/,
    );
  });
});

test('a run that has begun nothing is not gone on with, and is not offered', async () => {
  const run = await begun();
  await asking(run, 'first');
  run.intend({ type: 'abort' });
  await run.finished;
  expect((await refusal(folderOf(run))).message).toMatch(/has begun no step, so there is nothing to go on with/);
  expect(() => newestResumable()).toThrow(/There is no run to go on with/);
});

test('a dry run is not gone on with', async () => {
  const run = await begun('dry-run');
  await run.finished;
  expect((await refusal(folderOf(run))).message).toMatch(/was a dry run/);
});

describe('a run that is still at work', () => {
  test('is not taken up a second time, and its journal is not touched', async () => {
    const run = await begun();
    await asking(run, 'first');
    answer(run, 'first', 'it is gone');
    await asking(run, 'second');
    const before = readFileSync(run.journalFile);
    const { message, exitCode } = await refusal(folderOf(run));
    expect(message).toMatch(/^The cluster is not free: run .* works on this cluster/);
    expect(exitCode).toBe(EXIT.refused);
    expect(readFileSync(run.journalFile)).toEqual(before);
    run.intend({ type: 'abort' });
    await run.finished;
  });

  test('keeps another from beginning, which can begin once it has ended', async () => {
    const first = await begun();
    await asking(first, 'first');
    const second = await begun();
    const { held } = await eventually('it is told', () => second.getSnapshot().held && second.getSnapshot());
    expect(held).toMatchObject({ state: 'alive', holder: { run: first.getSnapshot().run } });
    expect(second.getSnapshot()).toMatchObject({ phase: 'planned' });
    first.intend({ type: 'abort' });
    await first.finished;
    second.intend({ type: 'begin' });
    await asking(second, 'first');
    expect(second.getSnapshot().held).toBeUndefined();
    second.intend({ type: 'abort' });
    await second.finished;
  });

  test('and is put away while it is being locked leaves no lock behind', async () => {
    const { profile } = cluster;
    const run = await prepareRun({
      scenario: file,
      profile,
      mode: 'live',
      backup: 'none',
      overrides: {},
      onFailure: 'ask',
    });
    await run.preflight();
    run.intend({ type: 'begin' });
    run.intend({ type: 'abort' });
    expect(await run.finished).toBe('aborted');
    const next = await begun();
    await asking(next, 'first');
    next.intend({ type: 'abort' });
    await next.finished;
    await eventually(
      'no lock is left',
      () => readdirSync(join(process.env.NOVAMEM_RUNBOOK_HOME!, 'locks')).length === 0,
    );
  });

  test('is stopped when somebody else takes the cluster over', async () => {
    const run = await begun();
    await asking(run, 'first');
    const lock = join(process.env.NOVAMEM_RUNBOOK_HOME!, 'locks', '.novamem-runbook-acme-test.lock');
    writeFileSync(lock, JSON.stringify({ ...JSON.parse(readFileSync(lock, 'utf8')), token: 'another' }));
    expect(await run.finished).toBe('failed');
    expect(findRun(folderOf(run)).events.find((event) => event.type === 'note')).toMatchObject({
      text: expect.stringMatching(/has taken over the lock/),
    });
    expect(JSON.parse(readFileSync(lock, 'utf8')).token).toBe('another');
  });
});
