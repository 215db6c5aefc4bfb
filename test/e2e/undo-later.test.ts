import { readFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import type { JournalEvent, StepOutcome } from '../../src/engine/journal.js';
import { findRun, listRuns } from '../../src/engine/runs.js';
import { EXIT } from '../../src/problem.js';
import { loseEverything } from '../../src/sandbox/lose-everything.js';
import { measureCluster } from '../support/measure-cluster.js';
import { runProgram } from '../support/program.js';
import { open, type RealCluster, realCluster } from '../support/sandbox.js';
import { terminals } from '../support/terminals.js';

// What a run has replaced is put back by another process, after the run has ended.

const ENTER = '\r';
const ESCAPE = '\u001b';
const DOWN = '\u001b[B';
const CTRL_C = '\u0003';
const inTerminal = terminals();
let real: RealCluster;

beforeAll(async () => {
  real = await realCluster(1_000);
  await real.backup();
});

const program = (...args: string[]) =>
  runProgram([...args, '--profile', real.places.profile], {
    environment: { NOVAMEM_RUNBOOK_HOME: process.env.NOVAMEM_RUNBOOK_HOME! },
    timeoutMs: 120_000,
  });
const wordsOf = ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout + stderr;
const isEndOf =
  (step: string, outcome: StepOutcome) =>
  (event: JournalEvent): event is Extract<JournalEvent, { type: 'step.finished' }> =>
    event.type === 'step.finished' && event.step === step && event.outcome === outcome;
const confirm = () => ['--confirm', real.cluster.name];

test('a rescue of a cluster that was not lost is undone: everything younger than the backup is there again', async () => {
  const old = await measureCluster(real);
  await real.sql(
    `UPDATE memory_entries SET content = content || ' younger' WHERE id IN (SELECT id FROM memory_entries LIMIT 40)`,
  );
  const { qdrant, falkordb } = real.cluster;
  const [collection] = Object.keys(old.collections);
  await qdrant.client.setPayload(collection!, { wait: true, payload: { source: 'younger' }, filter: {} });
  await falkordb.write(open, 'GRAPH.QUERY', falkordb.graph, `CREATE (:Memory {id: 'younger'})`);
  const younger = await measureCluster(real);
  expect(younger).not.toEqual(old);

  const rescue = await program('run', 'whole-cluster-lost', '--headless', ...confirm());
  expect(rescue.exitCode, wordsOf(rescue)).toBe(0);
  expect(await measureCluster(real)).toEqual(old);

  const unconfirmed = await program('undo');
  expect(unconfirmed.exitCode).toBe(3);
  expect(unconfirmed.stderr).toMatch(
    /Nobody has confirmed it\. This would be put back, in this order:\n {2}start-novamem/,
  );
  expect(unconfirmed.stderr).toMatch(/Replaces +1,000 memories, 0 of them written since/);
  const wrong = await program('undo', '--confirm', 'another');
  expect(wrong.exitCode).toBe(3);
  expect(await measureCluster(real)).toEqual(old);

  await stopsInTheMidst();

  const undone = await program('undo', ...confirm());
  expect(undone.exitCode, wordsOf(undone)).toBe(0);
  expect(undone.stdout).toMatch(/undone: what it had replaced was put back/);
  expect(undone.stdout).toMatch(/(postgres +rows of the dump|falkordb +files of before in their place) /);
  expect(await measureCluster(real)).toEqual(younger);

  const again = await program('undo', ...confirm());
  expect(again.exitCode).toBe(2);
  expect(again.stderr).toMatch(/has nothing that can be put back/);
});

/** By keys: while Qdrant's collections are put back, ctrl-c asks first, and then stops after them. */
async function stopsInTheMidst(): Promise<void> {
  const { pid } = JSON.parse(readFileSync(real.places.pidFile('qdrant'), 'utf8')) as { pid: number };
  const terminal = inTerminal(['--profile', real.places.profile], {
    environment: { NOVAMEM_RUNBOOK_HOME: process.env.NOVAMEM_RUNBOOK_HOME! },
  });
  await terminal.shows(/ u undo/);
  terminal.type('u');
  await terminal.shows(/to put it back: *$/m);
  terminal.type(`${real.cluster.name}${ENTER}`);
  await terminal.drawn(/^.*UNDO [\s\S]* n note/);
  // It answers nothing until it goes on: what is put back there is not at its end before.
  process.kill(pid, 'SIGSTOP');
  try {
    await terminal.shows(/◐ restore-qdrant +undoes/, 60_000);
    terminal.type(CTRL_C);
    await terminal.shows(
      /Stop this run\?\n These run now; ended half-way they leave:\n +restore-qdrant: it is put back to its end, and nothing after it\n[\s\S]*❯ keep running/,
    );
    terminal.type(ESCAPE);
    await terminal.shows(/UNDO [\s\S]*◐ restore-qdrant +undoes[\s\S]*\^C stop/);
    terminal.type(CTRL_C);
    await terminal.shows(/❯ keep running/);
    terminal.type(DOWN);
    await terminal.shows(/❯ stop/);
    terminal.type(ENTER);
    await terminal.shows(/UNDO · STOPPING [\s\S]*◐ restore-qdrant +undoes/);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  const [, back, of] = /Stopped after .*: (\d) of (\d) steps undone/.exec(await terminal.shows(/Stopped after /))!;
  expect(Number(back)).toBeLessThan(Number(of));
  expect(terminal.screen().join('\n')).toMatch(/↶ restore-qdrant /);
  terminal.type(CTRL_C);
  expect(await terminal.exited).toBe(EXIT.aborted);
  expect(terminal.onAlternateScreen).toBe(false);
}

test('the plan of a second rescue goes by what the first one took', async () => {
  await loseEverything(real.record.name);
  const first = listRuns().find((run) => findRun(run).events.some(isEndOf('restore-qdrant', 'succeeded')))!;
  const { tookMs } = findRun(first).events.find(isEndOf('restore-qdrant', 'succeeded'))!;
  const { stdout } = await program('plan', 'whole-cluster-lost');
  expect(stdout).toMatch(
    /restore-qdrant[\s\S]*?\n {3}Takes {6}[\d.]+ m?s in the run of \d{4}-\d\d-\d\d, for [\d.]+ [KM]iB\n/,
  );
  expect(stdout).toMatch(/Expected to be at work for about .*, by earlier runs\./);
  const plans = findRun('latest').events.flatMap((event) => (event.type === 'step.planned' ? [event] : []));
  expect(plans.find(({ step }) => step === 'restore-qdrant')!.plan).toMatchObject({
    estimateMs: tookMs,
    measured: { run: first, mode: 'live', tookMs },
  });
});

test('one step alone is undone; the rest stays as it was recovered', async () => {
  const rescue = await program('run', 'whole-cluster-lost', '--headless', ...confirm());
  expect(rescue.exitCode, wordsOf(rescue)).toBe(0);
  expect(rescue.stdout).toMatch(/ expected to be at work for about /);
  expect(rescue.stdout).toMatch(/\nAt work [\d.]+ s; expected: about [\d.]+ s, by earlier runs\n/);
  const { collections, ...recovered } = await measureCluster(real);
  expect(Object.keys(collections)).not.toEqual([]);
  const strange = await program('undo', '--step', 'no-such', ...confirm());
  expect(strange.stderr).toMatch(/The step "no-such" of run \S+ has nothing that can be put back/);
  const undone = await program('undo', '--step', 'restore-qdrant', ...confirm());
  expect(undone.exitCode, wordsOf(undone)).toBe(0);
  expect(undone.stdout).toMatch(/undone in part \(not: .*restore-postgres, restore-falkordb\)/);
  expect(await measureCluster(real)).toEqual({ ...recovered, collections: {} });
});
