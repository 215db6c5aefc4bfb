import { execFileSync } from 'node:child_process';
import { closeSync, openSync, statfsSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Mode, readJournal } from '../../src/engine/journal.js';
import type { StepContext } from '../../src/steps/step.js';
import { stepEvents } from '../../src/steps/step-events.js';
import { eventually } from '../support/eventually.js';
import { tempFolder } from '../support/temp.js';
import { gate, step, type TinyFacts, type TinyRun, tinyKind, tinyRun } from '../support/tiny-run.js';

const disk = tempFolder('disk');
const mount = () => execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], { stdio: 'pipe' });
/** Lazily: a run that did not end as it should still holds its files open. */
const unmount = () => execFileSync('umount', ['--lazy', disk], { stdio: 'pipe' });

/** Only root may make a file system of its own, and not in every container. */
const mayMount = (() => {
  try {
    mount();
    unmount();
    return true;
  } catch {
    return false;
  }
})();

/** Writes to the disk until it takes no more. */
function fillDisk(): void {
  const filler = openSync(join(disk, 'filler'), 'a');
  try {
    for (;;) writeSync(filler, Buffer.alloc(64 * 1024));
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
  } finally {
    closeSync(filler);
  }
}

/** Fills the disk so that the journal, which could still use up its last block, takes no further line. */
function fillDiskUnder({ run }: TinyRun): void {
  const size = () => statSync(run.journalFile).size;
  const note = (length: number) => {
    const before = size();
    run.intend({ type: 'note', text: 'x'.repeat(length) });
    return size() - before;
  };
  const line = note(0);
  const block = statfsSync(disk).bsize;
  const left = block - (size() % block);
  const fewer = 20;
  note(left > line + fewer ? left - line - fewer : left + block - line - fewer);
  fillDisk();
}

const eventsOf = ({ run }: TinyRun) => readJournal(run.journalFile).events;
const typesOf = (tiny: TinyRun) => eventsOf(tiny).map((event) => event.type);
const changesOf = (tiny: TinyRun) =>
  eventsOf(tiny).flatMap((event) => (event.type === 'step.change' ? [event.text] : []));

function expectStopped(tiny: TinyRun): void {
  const { lost, outcome, phase } = tiny.run.getSnapshot();
  expect([phase, outcome]).toEqual(['finished', 'failed']);
  expect(lost).toMatch(/^the record of this run cannot be kept \(.*ENOSPC.*\), so it was stopped/);
  expect(lost).toContain(tiny.folder);
}

/** Makes numbered changes until one is refused. */
async function changeOnAndOn({ gateway }: StepContext, done: string[], afterThe: (nth: number) => void = () => {}) {
  for (let nth = 1; nth <= 50; nth += 1) {
    await gateway.change({ channel: 'sql', text: `change ${nth}` }, async () => {
      done.push(`change ${nth}`);
    });
    afterThe(nth);
  }
}

describe.skipIf(!mayMount)('a run whose disk is full', () => {
  beforeEach(mount);
  afterEach(unmount);

  const never = (ran: string[]) =>
    tinyKind('tiny.never', {
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          ran.push('ran');
          emit.facts({ ran: true });
        }),
    });

  test('makes no change that it could not write down, and begins no further step', async () => {
    const done: string[] = [];
    const ran: string[] = [];
    const busy = tinyKind('tiny.busy', {
      run: (_p, ctx) =>
        stepEvents<TinyFacts>(async (emit) => {
          emit.facts({ ran: true });
          await changeOnAndOn(ctx, done, (nth) => {
            if (nth === 3) fillDiskUnder(tiny);
          });
        }),
    });
    const tiny: TinyRun = tinyRun([step('busy', busy), step('after', never(ran), ['busy'])], { runs: disk });
    expect(await tiny.toEnd()).toBe('failed');
    expectStopped(tiny);
    expect(done).toEqual(['change 1', 'change 2', 'change 3']);
    expect(changesOf(tiny)).toEqual(done);
    expect([tiny.stateOf('busy'), tiny.stateOf('after'), ran]).toEqual(['unknown', 'skipped', []]);
    expect(typesOf(tiny)).not.toContain('run.finished');
    expect(readJournal(tiny.run.journalFile).fault).toMatch(/^the last line is cut off/);
  });

  test('does not begin a step whose start it could not write down', async () => {
    const ran: string[] = [];
    const kind = {
      ...never(ran),
      check: async (_p: unknown, { phase }: StepContext) => {
        if (phase === 'ready') fillDiskUnder(tiny);
        return [];
      },
    };
    const tiny: TinyRun = tinyRun([step('one', kind)], { runs: disk });
    expect(await tiny.toEnd()).toBe('failed');
    expectStopped(tiny);
    expect([tiny.stateOf('one'), ran]).toEqual(['skipped', []]);
  });

  test('destroys nothing on a confirmation that it could not write down', async () => {
    const ran: string[] = [];
    const tiny = tinyRun([step('destroy', { ...never(ran), effect: 'destroy' })], { runs: disk });
    await tiny.begin();
    await tiny.until('destroy', 'asking');
    fillDiskUnder(tiny);
    tiny.run.intend({ type: 'confirm', step: 'destroy', typed: 'acme-test' });
    expect(await tiny.run.finished).toBe('failed');
    expectStopped(tiny);
    expect([tiny.stateOf('destroy'), ran]).toEqual(['skipped', []]);
  });

  test('asks nobody any more', async () => {
    const tiny = tinyRun([step('destroy', { ...never([]), effect: 'destroy' })], { runs: disk });
    await tiny.begin();
    await tiny.until('destroy', 'asking');
    fillDiskUnder(tiny);
    tiny.run.intend({ type: 'note', text: 'is this the right cluster?' });
    expect(await tiny.run.finished).toBe('failed');
    expectStopped(tiny);
    expect([tiny.stateOf('destroy'), tiny.run.getSnapshot().attention]).toEqual(['skipped', []]);
  });

  test('tells what runs to stop, also a step that has nothing to write', async () => {
    const waiting = tinyKind('tiny.waiting', {
      run: (_p, _ctx, signal) =>
        stepEvents<TinyFacts>(
          () => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
        ),
    });
    const tiny = tinyRun([step('long', waiting)], { runs: disk });
    await tiny.begin();
    await tiny.until('long', 'running');
    fillDiskUnder(tiny);
    tiny.run.intend({ type: 'note', text: 'is anybody there?' });
    expect(await tiny.run.finished).toBe('failed');
    expectStopped(tiny);
    expect(tiny.stateOf('long')).toBe('unknown');
  });

  test('stops also when it is the output of a step that can no longer be kept', async () => {
    const done: string[] = [];
    const chatty = tinyKind('tiny.chatty', {
      run: (_p, ctx) =>
        stepEvents<TinyFacts>(async (emit) => {
          fillDisk();
          emit.output('x'.repeat(128 * 1024));
          await eventually('the output could not be kept', () => tiny.run.getSnapshot().lost);
          await changeOnAndOn(ctx, done);
        }),
    });
    const tiny: TinyRun = tinyRun([step('chatty', chatty)], { runs: disk });
    expect(await tiny.toEnd()).toBe('failed');
    expectStopped(tiny);
    expect(done).toEqual([]);
  });

  test('undoes nothing that it could not write down, and says that the undo failed', async () => {
    const undone: string[] = [];
    const broken = tinyKind('tiny.broken', {
      run: () =>
        stepEvents<TinyFacts>(async (emit) => {
          emit.facts({ ran: true });
          throw new Error('half-way');
        }),
      undo: (_p, ctx) => stepEvents<TinyFacts>(() => changeOnAndOn(ctx, undone)),
    });
    const tiny = tinyRun([step('broken', broken)], { runs: disk });
    await tiny.begin();
    await tiny.until('broken', 'deciding');
    fillDiskUnder(tiny);
    tiny.run.intend({ type: 'undo', steps: ['broken'], typed: 'acme-test' });
    expect(await tiny.run.finished).toBe('failed');
    expectStopped(tiny);
    expect(undone).toEqual([]);
    expect(tiny.stepOf('broken').reason).toMatch(/THE UNDO FAILED: the record of this run cannot be kept/);
  });

  test('has failed also when only its last line could not be written', async () => {
    const tiny = tinyRun([step('only', never([]))], { runs: disk });
    tiny.run.onEvent((event) => {
      if (event.type === 'step.finished') fillDiskUnder(tiny);
    });
    expect(await tiny.toEnd()).toBe('failed');
    expectStopped(tiny);
    expect(tiny.stateOf('only')).toBe('succeeded');
    expect(typesOf(tiny)).not.toContain('run.finished');
  });

  test.each<Mode>(['live', 'dry-run'])('looks at nothing when not even its first line fits (%s)', async (mode) => {
    let looked = 0;
    const kind = tinyKind('tiny', {
      check: async () => {
        looked += 1;
        return [];
      },
    });
    const tiny = tinyRun([step('one', kind)], { runs: disk, mode });
    fillDisk();
    expect(await tiny.toEnd()).toBe('failed');
    expectStopped(tiny);
    expect([looked, tiny.stateOf('one')]).toEqual([0, 'skipped']);
    expect(readJournal(tiny.run.journalFile)).toMatchObject({ events: [], fault: '' });
  });

  test('goes no further when another process takes the last room while it looks', async () => {
    const held = gate();
    const looking = tinyKind('tiny.looking', {
      check: async () => {
        await held.opened;
        return [{ level: 'info' as const, message: 'all is well' }];
      },
    });
    const tiny = tinyRun([step('one', looking)], { runs: disk });
    const ended = tiny.toEnd();
    await eventually('it is planned', () => tiny.stepOf('one').plan);
    fillDiskUnder(tiny);
    held.open();
    expect(await ended).toBe('failed');
    expectStopped(tiny);
    expect(typesOf(tiny)).not.toContain('step.started');
  });
});
