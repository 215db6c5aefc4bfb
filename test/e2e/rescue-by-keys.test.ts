import { appendFileSync, readdirSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { homeFolder } from '../../src/config/home.js';
import { loseEverything } from '../../src/sandbox/lose-everything.js';
import { sandboxProfile } from '../../src/sandbox/sandbox.js';
import { measureCluster } from '../support/measure-cluster.js';
import { PROGRAM } from '../support/program.js';
import { open as gateway, openSandbox, realCluster } from '../support/sandbox.js';
import type { ProgramInTerminal } from '../support/terminal.js';
import { terminals } from '../support/terminals.js';
import { showsWholeScreen } from '../support/whole-screen.js';

const ENTER = '\r';
const ESCAPE = '\u001b';
const DOWN = '\u001b[B';
const UP = '\u001b[A';
const PAGE_DOWN = '\u001b[6~';
const CTRL_C = '\u0003';
const open = terminals();
let name: string;

function start(
  args: string[],
  size: { columns?: number; rows?: number } = {},
  environment: Record<string, string> = {},
) {
  return open([...args, '--profile', name], { ...size, environment });
}

/** Answers every question with the cluster's name until the screen shows something else. */
async function confirmUntil(program: ProgramInTerminal, until: RegExp, pasted = false): Promise<string> {
  for (;;) {
    const screen = await program.shows(
      new RegExp(`Type the cluster's name (?:\\(\\S+\\) )?to go on: *$|${until.source}`, 'm'),
    );
    if (until.test(screen)) return screen;
    const step = /Step (\d) of/.exec(screen)?.[1];
    // As a terminal pastes it, with the line end that a copied line brings along.
    if (pasted) program.type(`\u001b[200~${name}\n\u001b[201~`);
    else program.type(name);
    await program.shows(new RegExp(`to go on: ${name} *$`, 'm'));
    program.type(ENTER);
    await program.shows(new RegExp(`^(?![\\s\\S]*Step ${step} of)`));
  }
}

/** Goes down the list until the scenario is the highlighted one. */
async function highlight(program: ProgramInTerminal, title: string): Promise<void> {
  for (;;) {
    const screen = await program.shows(/❯ \S/);
    const now = /❯ (.*)/.exec(screen)![1]!;
    if (now.startsWith(title)) return;
    program.type(DOWN);
    await program.shows(new RegExp(`❯ (?!${now.slice(0, 20).replace(/[^\w ]/g, '.')})`));
  }
}

/** Goes down the steps of a run until that one is chosen. */
async function chooseStep(program: ProgramInTerminal, id: string): Promise<void> {
  for (;;) {
    const screen = await program.shows(/^>\S \S/m);
    const now = /^>\S (\S+)/m.exec(screen)![1]!;
    if (now === id) return;
    program.type(DOWN);
    await program.shows(new RegExp(`^>\\S (?!${now} )`, 'm'));
  }
}

/** Ctrl-C signals nothing by itself, wherever a run is; escape goes back. */
async function asksBeforeStopping(program: ProgramInTerminal, back: RegExp): Promise<void> {
  program.type(CTRL_C);
  await program.shows(/Stop this run\?[\s\S]*❯ keep running/);
  program.type(ESCAPE);
  await program.shows(back);
}

beforeAll(async () => {
  const real = await realCluster();
  ({ name } = real.record);
  await real.backup();
});

describe.each([
  [80, 24],
  [120, 40],
  [60, 16],
])('a whole rescue by keys alone at %i×%i', (columns, rows) => {
  it('recovers, and leaves the outcome, the evidence and the paths on the ordinary screen', async () => {
    await loseEverything(name);
    const program = start([], { columns, rows });
    await program.shows(/What happened\?/);
    expect(program.onAlternateScreen).toBe(true);
    await program.shows(/qdrant +no answer/);
    await highlight(program, 'Whole cluster lost');
    await program.shows(/^ Fits +\S/m);
    await showsWholeScreen(program, name, 'q quit');
    program.type(PAGE_DOWN.repeat(9));
    await program.shows(/^ When +\S/m);
    program.type(ENTER);
    await program.shows(/ manifest$/m);
    program.type(ENTER);
    const plan = await program.shows(/Nothing has been touched/);
    expect(plan).toContain('Stop novamem');
    program.type(ENTER);
    const end = await confirmUntil(program, /q quit/, columns === 120);
    expect(end).toMatch(/✔ Recovered in/);
    await showsWholeScreen(program, name, 'q quit');
    program.type(columns === 60 ? CTRL_C : 'q');
    expect(await program.exited).toBe(0);
    expect(program.onAlternateScreen).toBe(false);
    expect(program.scrollback().replaceAll('\n', '')).toMatch(
      /Whole cluster lost: recovered in .*all equal.*journal\.jsonl \(intact\)/s,
    );
  }, 120_000);
});

describe('what a person may do wrong', () => {
  it('starts nothing on a wrong name, and says so', async () => {
    const program = start(['whole-cluster-lost']);
    await program.shows(/ manifest$/m);
    program.type(ENTER);
    await program.shows(/enter begin/);
    program.type(ENTER);
    const asked = await program.shows(/Type the cluster's name/);
    expect(asked).toMatch(/Destroys +\S/);
    program.type(`not-${name}${ENTER}`);
    const refused = await program.shows(/nothing was started/);
    expect(refused).toContain(`"not-${name}" is not this cluster's name`);
    expect(journalText()).not.toContain('confirm.given');
  });

  it('is asked what it wants on Ctrl-C, and keeps running when told so', async () => {
    const program = start(['whole-cluster-lost']);
    await program.shows(/ manifest$/m);
    program.type(ENTER);
    await program.shows(/enter begin/);
    program.type(ENTER);
    await program.shows(/Type the cluster's name/);
    program.type(CTRL_C);
    await program.shows(/❯ keep running/);
    program.type(ENTER);
    await program.shows(/Type the cluster's name/);
    program.type(CTRL_C);
    await program.shows(/Stop this run\?/);
    program.type(DOWN);
    await program.shows(/❯ stop/);
    program.type(ENTER);
    expect(await program.shows(/q quit/)).toMatch(/Aborted/);
    program.type('q');
    expect(await program.exited).toBe(130);
  });

  it('is killed at once when it is told so, and says how to go on', async () => {
    const program = start(['whole-cluster-lost']);
    await program.shows(/ manifest$/m);
    program.type(ENTER);
    await program.shows(/enter begin/);
    program.type(ENTER);
    await program.shows(/Type the cluster's name/);
    program.type(CTRL_C);
    await program.shows(/❯ keep running/);
    program.type(UP);
    await program.shows(/❯ kill/);
    program.type(ENTER);
    expect(await program.exited).toBe(130);
    expect(program.onAlternateScreen).toBe(false);
    expect(program.scrollback()).toMatch(/Killed\.[\s\S]*Next: novamem-runbook resume \S+/);
    expect(journalText()).toContain('confirm.asked');
    expect(journalText()).not.toContain('run.finished');

    const later = start([]);
    await later.shows(/h history/);
    later.type('h');
    await later.shows(/❯ .*Whole cluster lost +unfinished/);
    later.type(ENTER);
    await later.shows(/r resume/);
    later.type('r');
    await later.shows(/Nothing further is touched yet/);
    later.type(ESCAPE);
    await later.shows(/r resume/);
  });

  it('goes back with escape without starting anything, also from the plan as text', async () => {
    const program = start(['whole-cluster-lost']);
    await program.shows(/ manifest$/m);
    program.type(ENTER);
    await program.shows(/enter begin/);
    program.type('v');
    await program.shows(/enter comes back to novamem-runbook\./);
    expect(program.onAlternateScreen).toBe(false);
    program.type(CTRL_C);
    await program.shows(/\^C/);
    expect(program.scrollback().replaceAll('\n', '')).toMatch(
      /Will run +LC_ALL=C .*pg_restore --host \S+ --port \d+ .*--clean/,
    );
    program.type(ENTER);
    await program.shows(/enter begin/);
    expect(program.onAlternateScreen).toBe(true);
    program.type(ESCAPE);
    await program.shows(/From which backup/);
    program.type(ESCAPE);
    await program.shows(/What happened\?/);
    program.type('q');
    expect(await program.exited).toBe(0);
    expect(journalText()).not.toContain('step.started');
  });

  it('is told that nothing was begun when the plan is left for good, and finds it so in the history', async () => {
    const program = start(['whole-cluster-lost']);
    await program.shows(/ manifest$/m);
    program.type(ENTER);
    await program.shows(/enter begin/);
    program.type(CTRL_C);
    await program.shows(/Leave this plan\?\n Nothing was begun yet, and nothing was changed\.[\s\S]*❯ stay/);
    program.type(ESCAPE);
    await program.shows(/enter begin/);
    program.type('q');
    expect(await program.exited).toBe(130);
    expect(program.scrollback()).toMatch(/Whole cluster lost: not begun: nothing was changed/);
    expect(program.scrollback()).not.toMatch(/aborted|skipped/);
    const later = start([]);
    await later.shows(/h history/);
    later.type('h');
    await later.shows(/❯ .*Whole cluster lost +not begun$/m);
  });
});

const NOTE = 'The dump was damaged on its way.';
const OFFERED = /Type the cluster's name \(\S+\) to put it back: *$/m;

/** A byte more in the dump of the only backup set; cut off at `whole` it is as it was. */
function damageDump(): { dump: string; whole: number } {
  const { backups } = sandboxProfile(name);
  const id = readdirSync(backups[0]!).find((one) => !one.startsWith('.'));
  const dump = join(backups[0]!, id!, 'postgres', 'novamem.dump');
  const whole = readFileSync(dump).length;
  appendFileSync(dump, 'x');
  return { dump, whole };
}

describe('a damaged backup', () => {
  it('is refused before anything is dropped, the step goes on after the file is mended, and all of it can be undone', async () => {
    const sandbox = openSandbox(name);
    const session = await sandbox.session();
    await session.query(`UPDATE memory_entries SET content = content || ' younger'`);
    await session.end();
    const younger = await measureCluster(sandbox);
    const { dump, whole } = damageDump();
    const program = start(['whole-cluster-lost']);
    await program.shows(/the\s+manifest\s+says/);
    program.type(ENTER);
    await program.shows(/would be blocked[\s\S]*b begin all the same/);
    program.type('b');
    await asksBeforeStopping(program, /Type the cluster's name/);
    const refused = await confirmUntil(program, /cannot begin/);
    expect(refused).toMatch(/restore-postgres cannot begin/);
    await asksBeforeStopping(program, /cannot begin/);
    program.resize(60, 16);
    await program.shows(/^ Now +nothing was changed by this step/m);
    await showsWholeScreen(program, name, '^C stop…');
    program.type(PAGE_DOWN);
    await program.shows(/^ Saw +\S/m);
    program.resize(80, 24);
    await showsWholeScreen(program, name, '^C stop…');
    // The habit of halting a terminal is not the key that skips a step, nor tmux's own the one that aborts.
    program.type('\u0013\u0001');
    program.type(ESCAPE);
    await program.shows(/✗ restore-postgres[\s\S]*c answer/);
    await asksBeforeStopping(program, /c answer/);
    program.type('n');
    await program.shows(/Note for the journal: *$/m);
    program.type(`${NOTE}${ENTER}`);
    await program.shows(/c answer/);
    program.type('l');
    await program.shows(/Log · /);
    await asksBeforeStopping(program, /c answer/);
    program.type('c');
    await program.shows(/cannot begin/);
    expect(refused).toMatch(/Now +nothing was changed by this step/);
    truncateSync(dump, whole);
    program.type('r');
    const end = await confirmUntil(program, /q quit/);
    expect(end).toMatch(/✔ Recovered in[\s\S]*u undo…/);
    const recovered = await measureCluster(sandbox);
    expect(recovered.tables['public.memory_entries']).not.toEqual(younger.tables['public.memory_entries']);

    program.type('u');
    await program.shows(OFFERED);
    program.type(ESCAPE);
    await program.shows(/Recovered in[\s\S]*u undo…/);
    program.type('q');
    expect(await program.exited).toBe(0);
    expect(journalText()).toContain(`"text":"${NOTE}"`);
    expect(readFileSync(join(newestRun(), 'report.md'), 'utf8')).toMatch(new RegExp(`^- .*: ${NOTE}$`, 'm'));

    const later = start([]);
    await later.shows(/u undo…/);
    later.type('u');
    await later.shows(OFFERED);
    later.type(ESCAPE);
    await later.shows(/What happened\?/);
    later.type('h');
    await later.shows(/❯ .*Whole cluster lost +recovered in/);
    later.type(ENTER);
    await later.shows(/u undo…/);
    later.type('u');
    const offered = await later.shows(OFFERED);
    expect(offered).toMatch(/LOSES +restore-qdrant: 600 points/);
    expect(offered).toMatch(/Replaces +restore-postgres: 600 memories/);
    later.type(`not-${name}${ENTER}`);
    await later.shows(/nothing was put back/);
    expect(journalText()).not.toContain('step.undoing');
    expect(await measureCluster(sandbox)).toEqual(recovered);

    later.type(`${name}${ENTER}`);
    const undone = await later.shows(/Undone in .*: as it was before this run/);
    expect(undone).toMatch(/↶ restore-postgres/);
    expect(await measureCluster(sandbox)).toEqual(younger);
    later.type('q');
    expect(await later.exited).toBe(0);
    expect(later.scrollback()).toMatch(/undone: what it had replaced was put back/);
  }, 120_000);

  it('lets what was done beside the step that failed be put back from its screen, and the run ends as if it had not been', async () => {
    const sandbox = openSandbox(name);
    const { falkordb } = sandbox.cluster;
    await falkordb.change(gateway, falkordb.graph, "MATCH ()-[r {kind: 'co_occurs'}]->() DELETE r");
    const before = await measureCluster(sandbox);
    const { dump, whole } = damageDump();
    const program = start(['whole-cluster-lost']);
    await program.shows(/the\s+manifest\s+says/);
    program.type(ENTER);
    await program.shows(/b begin all the same/);
    program.type('b');
    await program.shows(/question \d of 3/);
    program.type(ESCAPE);
    // Whoever asked first: the step that is chosen is answered.
    await chooseStep(program, 'restore-falkordb');
    program.type('c');
    await program.shows(/question \d of 3: restore-falkordb/);
    program.type(`${name}${ENTER}`);
    await program.shows(/question \d of 3: (?!restore-falkordb)/);
    program.type(ESCAPE);
    await program.shows(/✔ restore-falkordb/);
    await chooseStep(program, 'restore-postgres');
    program.type('c');
    expect(await program.shows(/✗ restore-postgres cannot begin/)).toMatch(/^ +u +undo…: restore-falkordb$/m);
    expect(await measureCluster(sandbox)).not.toEqual(before);
    program.type('u');
    expect(await program.shows(OFFERED)).toMatch(/The run ends with it[\s\S]*restore-falkordb/);
    program.type(`${name}${ENTER}`);
    expect(await program.shows(/Undone in .*: as it was before/)).toMatch(/↶ restore-falkordb/);
    expect(await measureCluster(sandbox)).toEqual(before);
    program.type('q');
    expect(await program.exited).toBe(130);
    truncateSync(dump, whole);
  }, 120_000);
});

describe('beside the rescue itself', () => {
  it('shows what was done here before, to its evidence', async () => {
    const program = start([]);
    await program.shows(/h history/);
    program.type('h');
    const list = await program.shows(/What was done here:/);
    expect(list).toMatch(/^❯ \d{4}-\d\d-\d\d \d\d:\d\d {2}\S/m);
    // From the newest up is the oldest: the backup that everything began with.
    program.type(UP);
    await program.shows(/❯ .*Take a backup +complete in/);
    program.type(ENTER);
    const run = await program.shows(/Take a backup: complete in[\s\S]*Timeline/);
    expect(run).toMatch(/\+\d+\.\d s {2}backup-postgres +succeeded/);
    expect(run).not.toContain('r resume');
    program.type(ESCAPE);
    await program.shows(/What was done here:/);
    program.type(ESCAPE);
    await program.shows(/What happened\?/);
  });

  it('shows the log of a run: held, filtered, of one step, by the local clock', async () => {
    const program = start(['run', 'backup'], {}, { TZ: 'Asia/Kolkata' });
    await program.shows(/enter begin/);
    program.type(ENTER);
    await program.shows(/Complete in[\s\S]*l log/);
    program.type('l');
    const all = await program.shows(/Log · all steps · UTC · following, \d+ lines/);
    const [, hour, minute] = /^ (\d\d):(\d\d):\d\d\.\d{3} write-manifest /m.exec(all)!;
    program.type('t');
    const local = await program.shows(/· local time ·/);
    const minutes = (Number(hour) * 60 + Number(minute) + 330) % 1440;
    const shifted = [Math.floor(minutes / 60), minutes % 60].map((part) => String(part).padStart(2, '0')).join(':');
    expect(local).toMatch(new RegExp(`^ ${shifted}:\\d\\d\\.\\d{3} write-manifest `, 'm'));
    program.type('/');
    await program.shows(/Lines with:/);
    program.type(`the stores agree${ENTER}`);
    const filtered = await program.shows(/with "the stores agree" · local time · following, 1 line$/m);
    expect(filtered).toMatch(/the stores agree about \d+ memories/);
    expect(filtered).not.toMatch(/pg_dump/);
    program.type('e');
    await program.shows(/Log · NO ERROR · all steps/);
    program.type(ESCAPE);
    await program.shows(/all steps · local time · following/);
    program.type(' ');
    await program.shows(/PAUSED at (\d+) of \1/);
    program.type('\u001b[5~');
    const [, at, of] = /PAUSED at (\d+) of (\d+)/.exec(await program.shows(/PAUSED at (\d+) of (?!\1$)\d+/m))!;
    expect(Number(at)).toBeLessThan(Number(of));
    program.type('f');
    await program.shows(/following/);
    program.type('\t');
    await program.shows(/Log · write-manifest · local time/);
    program.type(ESCAPE);
    await program.shows(/Complete in/);
  });

  it('gives the terminal to a shell and to ctrl-z, and takes it back', async () => {
    const program = open(['--norc', '--noprofile', '-i'], {
      program: 'bash',
      environment: { SHELL: '/bin/bash', PS1: 'ready> ', HOME: homeFolder() },
    });
    await program.shows(/ready> $/m);
    program.type(`${process.execPath} ${PROGRAM} --profile ${name}${ENTER}`);
    await program.shows(/What happened\?[\s\S]*q quit/);
    program.type('!');
    await program.shows(/A shell\. exit comes back to novamem-runbook\./);
    expect(program.onAlternateScreen).toBe(false);
    program.type(`echo $((6 * 7))-is-it${ENTER}`);
    await program.shows(/^42-is-it$/m);
    program.type(`exit${ENTER}`);
    await program.shows(/What happened\?[\s\S]*q quit/);
    program.type('\u001a');
    await program.shows(/novamem-runbook is stopped\. fg goes on with it\.[\s\S]*Stopped/);
    expect(program.onAlternateScreen).toBe(false);
    program.type(`fg${ENTER}`);
    await program.shows(/What happened\?[\s\S]*q quit/);
    program.type('?');
    await program.shows(/any key: back/);
    program.type('x');
    await program.shows(/What happened\?/);
    program.type('q');
    await program.shows(/ready> $/m);
    program.type(`stty -a${ENTER}`);
    expect(await program.shows(/icanon/)).toMatch(/ icanon [\s\S]* echo /);
  });
});

it('keeps its frame through a storm of resizes', async () => {
  const program = start([]);
  await program.shows(/What happened\?/);
  for (let turn = 0; turn < 20; turn += 1) program.resize(60 + ((turn * 7) % 60), 16 + (turn % 20));
  program.resize(40, 10);
  await program.shows(/^This window is too small: 40×10\./);
  program.resize(90, 26);
  const screen = await program.shows(new RegExp(`^ ${name}`));
  expect(screen.trimEnd().split('\n').at(-1)).toContain('q quit');
  program.type('q');
  expect(await program.exited).toBe(0);
});

function newestRun(): string {
  const runs = join(homeFolder(), 'runs');
  return join(runs, readdirSync(runs).sort().at(-1)!);
}

/** The newest run's journal. */
const journalText = () => readFileSync(join(newestRun(), 'journal.jsonl'), 'utf8');
