import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SERVICES } from '../../src/config/profile.js';
import { prepareRun } from '../../src/engine/prepare-run.js';
import { findRun, listRuns } from '../../src/engine/runs.js';
import type { RunSnapshot } from '../../src/engine/snapshot.js';
import { driverFor } from '../../src/hosts/services/drivers.js';
import { EXIT } from '../../src/problem.js';
import { scenarios } from '../../src/runbook/library.js';
import { sandboxDown, sandboxProfile, sandboxUp } from '../../src/sandbox/sandbox.js';
import { measureCluster } from '../support/measure-cluster.js';
import { runProgram } from '../support/program.js';
import { open, openSandbox } from '../support/sandbox.js';
import { ProgramInTerminal } from '../support/terminal.js';

const name = `dry-${process.pid}`;
const OLDER = 'the-day-before';
const ENTER = '\r';
const CTRL_C = '\u0003';
const ESCAPE = '\u001b';
const DOWN = '\u001b[B';
const RIGHT = '\u001b[C';
const LEFT = '\u001b[D';
let home: string;
let started: ProgramInTerminal[] = [];

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'novamem-runbook-dry-'));
  process.env.NOVAMEM_RUNBOOK_HOME = home;
  await sandboxUp({ name, memories: 120, lives: 'process' });
  const run = await prepareRun({ ...REQUEST, scenario: 'backup', profile: sandboxProfile(name), mode: 'live' });
  await run.preflight();
  run.intend({ type: 'begin' });
  expect(await run.finished).toBe('recovered');
  const { newBackup } = findRun(run.getSnapshot().run).events.find((event) => event.type === 'run.started')!;
  copyFromTheDayBefore(newBackup!);
});

/** The same files in a set of their own, whose manifest says that they are a day older. */
function copyFromTheDayBefore(set: string): void {
  const folder = join(dirname(set), OLDER);
  cpSync(set, folder, { recursive: true });
  const file = join(folder, 'manifest.json');
  const earlier = (instant: string) => new Date(Date.parse(instant) - 86_400_000).toISOString();
  const manifest = readFileSync(file, 'utf8').replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, earlier);
  writeFileSync(file, JSON.stringify({ ...JSON.parse(manifest), id: OLDER }));
}

afterEach(() => {
  for (const program of started) program.kill();
  started = [];
});

afterAll(async () => {
  await sandboxDown(name);
  rmSync(home, { recursive: true, force: true });
});

const REQUEST = { backup: 'latest', overrides: {}, onFailure: 'stop' as const };

function start(args: string[] = [], size: { columns?: number; rows?: number } = {}): ProgramInTerminal {
  const program = new ProgramInTerminal([...args, '--profile', name], {
    ...size,
    environment: { NOVAMEM_RUNBOOK_HOME: home },
  });
  started.push(program);
  return program;
}

async function highlight(program: ProgramInTerminal, title: string): Promise<void> {
  for (;;) {
    const now = /❯ (.{20})/.exec(await program.shows(/❯ \S/))![1]!;
    if (now.startsWith(title)) return;
    program.type(DOWN);
    await program.shows(new RegExp(`❯ (?!${now.replace(/[^\w ]/g, '.')})`));
  }
}

/** From the newest backup set. */
async function openDryRun(program: ProgramInTerminal, title: string): Promise<string> {
  await program.shows(/What happened\?/);
  await highlight(program, title);
  program.type('d');
  await program.shows(/DRY RUN · [\s\S]*From which backup\?[\s\S]*❯ \S/);
  program.type(ENTER);
  return program.shows(/nothing can be begun\s+from here/);
}

/** Every event of every run on record but the backup that all begins with. */
const eventsSince = () =>
  listRuns()
    .slice(0, -1)
    .flatMap((id) => findRun(id).events);

describe('a dry run in the terminal', () => {
  it('is walked step by step, marked as one on every page, and nothing can be begun from it', async () => {
    const before = await measureCluster(openSandbox(name));
    const program = start();
    const whole = await openDryRun(program, 'Whole cluster lost');
    expect(whole).toMatch(/DRY RUN · whole cluster lost/);
    expect(whole).toMatch(/5 {3}Restore 10 Qdrant collections.*DESTROYS$/m);
    const pages: string[] = [];
    for (let step = 1; step <= 11; step += 1) {
      program.type(step % 2 === 0 ? 'n' : RIGHT);
      pages.push(await program.shows(new RegExp(`DRY RUN · step ${step} of 11 · whole cluster lost`)));
    }
    for (const page of pages) {
      expect(page).toMatch(/^ Why {8}\S/m);
      expect(page).toMatch(/^ On abort {3}\S/m);
      expect(page).toMatch(/^ Destroys {3}\S/m);
    }
    expect(pages[0]).toMatch(/^ Would run {2}kill -s TERM \d+$/m);
    expect(pages[0]).toMatch(/^ Way back {3}start novamem again$/m);
    expect(pages[3]).toMatch(/^ Destroys {3}\d+ memories, 0 of them newer than this backup$/m);
    expect(pages[3]).toMatch(/^ Way back {3}a dump of the database is taken before/m);
    expect(pages[3]).toMatch(/^ No return {2}COMMIT at the very end/m);
    expect(pages[3]).toMatch(/^ Takes {6}roughly \d/m);
    program.type('n');
    program.type(LEFT);
    await program.shows(/step 10 of 11/);
    for (const [at, key] of [ENTER, 'b', 'y', 't', 'a', 'r', 's', 'u', `${name}${ENTER}`].entries()) {
      // An arrow is a key of its own, however many are read at once: once it is heeded, the one before it was read, too.
      program.type(`${key}${at % 2 === 0 ? LEFT : RIGHT}`);
      await program.shows(new RegExp(`step ${at % 2 === 0 ? 9 : 10} of 11`));
    }
    program.type('?');
    await program.shows(/any key: back/);
    program.type('x');
    await program.shows(/step 9 of 11/);
    program.type(ESCAPE);
    await program.shows(/From which backup/);
    program.type(ESCAPE);
    await program.shows(/What happened\?/);
    program.type('q');
    expect(await program.exited).toBe(0);
    const types = eventsSince().map((event) => event.type);
    expect(types).not.toContain('step.started');
    expect(types).not.toContain('step.change');
    expect(eventsSince().flatMap((event) => (event.type === 'run.started' ? [event.mode] : []))).toEqual(['dry-run']);
    expect(await measureCluster(openSandbox(name))).toEqual(before);
  });

  it('is made from the backup set that is picked, and at once of what restores nothing', async () => {
    const program = start();
    await program.shows(/What happened\?/);
    await highlight(program, 'Whole cluster lost');
    program.type('d');
    const picker = await program.shows(/❯ \d{8}T\d{6}Z/);
    expect(picker).toMatch(/DRY RUN · whole cluster lost/);
    program.type(ESCAPE);
    await program.shows(/What happened\?/);
    program.type('d');
    await program.shows(/❯ \d{8}T\d{6}Z/);
    program.type(DOWN);
    await program.shows(new RegExp(`❯ ${OLDER}`));
    program.type(ENTER);
    expect(await program.shows(/nothing can be begun\s+from here/)).toContain(`backup ${OLDER}`);
    program.type(ESCAPE);
    await program.shows(new RegExp(`❯ ${OLDER}`));
    program.type(ESCAPE);
    await program.shows(/What happened\?/);
    await highlight(program, 'Take a backup');
    program.type('d');
    await program.shows(/DRY RUN · take a backup[\s\S]*nothing can be begun\s+from here/);
    program.type(ESCAPE);
    await program.shows(/What happened\?/);
  });

  it('fits a small window, and what does not fit is scrolled to', async () => {
    const program = start([], { columns: 60, rows: 16 });
    await openDryRun(program, 'Whole cluster lost');
    for (let step = 1; step <= 4; step += 1) {
      program.type('n');
      await program.shows(new RegExp(`step ${step} of`));
    }
    expect(await program.shows(/more lines: ↓ or space/)).not.toMatch(/--dbname/);
    for (;;) {
      const [, below] = /(\d+) more lines?:|ANALYZE/.exec(await program.shows(/more lines?:|ANALYZE/))!;
      if (below === undefined) break;
      program.type(' ');
      await program.shows(new RegExp(`^(?![\\s\\S]* ${below} more line)`));
    }
    // Nothing runs: there is nothing to ask.
    program.type(CTRL_C);
    expect(await program.exited).toBe(EXIT.recovered);
    expect(program.onAlternateScreen).toBe(false);
    expect(program.scrollback()).toMatch(/Whole cluster lost: simulated: nothing was touched/);
  });

  it('is read aloud page by page', async () => {
    const program = start(['--screen-reader'], { columns: 200, rows: 60 });
    const says = (pattern: RegExp) => program.shows(pattern);
    await says(/What happened\?[\s\S]*Keys: .*d dry run/);
    program.type('d');
    await says(/^chosen: \d{8}T/m);
    program.type(ENTER);
    await says(/DRY RUN, falkordb lost[\s\S]*Keys: n next/);
    program.type('n');
    expect(await says(/DRY RUN, step 1 of 10, falkordb lost[\s\S]*Keys: n next, p before/)).toMatch(
      /^Why: What it writes while/m,
    );
  });
});

describe('while nothing of the cluster answers', () => {
  beforeAll(async () => {
    const { cluster } = openSandbox(name);
    for (const service of SERVICES)
      await driverFor(service, cluster.profile.services[service]!).stop(open, { onLine: () => {} });
  });

  it.each(
    scenarios(),
  )('every step of %s is still planned and explained, and nothing is started', async (scenario) => {
    const profile = sandboxProfile(name);
    const run = await prepareRun({ ...REQUEST, scenario, profile, mode: 'dry-run' });
    await run.preflight();
    expect(await run.finished).toBe('simulated');
    const { steps }: RunSnapshot = run.getSnapshot();
    for (const { id, why, plan, findings, effect, state } of steps) {
      expect([id, why === '', plan?.summary === undefined, state]).toEqual([id, false, false, 'simulated']);
      const blocking = findings.filter(({ level }) => level === 'blocking');
      expect(blocking.filter(({ next }) => next === undefined)).toEqual([]);
      if (/^(postgres|qdrant|falkordb)-/.test(scenario) && effect === 'destroy' && plan!.destroys.length === 0)
        expect([id, plan!.uncounted]).toEqual([
          id,
          expect.stringMatching(/does not answer|nothing is salvaged yet|the cross-check before it counts/),
        ]);
    }
    const { cluster } = openSandbox(name);
    const states = await Promise.all(SERVICES.map((service) => cluster.driver(service)!.state()));
    expect(states).toEqual(['stopped', 'stopped', 'stopped', 'stopped']);
  });

  it('the plan as text says that what would be destroyed could not be counted, and exits by what would block it', async () => {
    const plan = (scenario: string) =>
      runProgram(['plan', scenario, '--profile', name], { environment: { NOVAMEM_RUNBOOK_HOME: home } });
    const whole = await plan('whole-cluster-lost');
    expect(whole).toMatchObject({ exitCode: 0, stderr: '' });
    expect(whole.stdout).toContain('   Destroys   not counted: Postgres does not answer (');
    expect(whole.stdout).toContain('   Way back   a dump of the database is taken before');
    expect(whole.stdout).toContain('   Why        Writes that arrive during a restore are lost or torn.\n');
    expect(await plan('qdrant-lost')).toMatchObject({ exitCode: 1, stderr: '' });
  });
});
