import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { exitCodeOf } from '../../src/commands/headless.js';
import { keepSecret } from '../../src/config/redact.js';
import type { JournalEvent } from '../../src/engine/journal.js';
import { findRun } from '../../src/engine/runs.js';
import { EXIT } from '../../src/problem.js';
import { castLines } from '../../src/reports/cast.js';
import { evidenceRows, evidenceTable } from '../../src/reports/evidence.js';
import { htmlReport } from '../../src/reports/html.js';
import { markdownReport } from '../../src/reports/markdown.js';
import { plainLines, plainSummary } from '../../src/reports/plain.js';
import { planLines } from '../../src/reports/plan.js';
import { reportOf } from '../../src/reports/run-report.js';
import { writeReports } from '../../src/reports/write-reports.js';
import { readingPlan } from '../../src/steps/step.js';
import { stepEvents } from '../../src/steps/step-events.js';
import { equal } from '../../src/stores/check.js';
import { linesWithoutControls } from '../../src/words.js';
import { laterUndo, step, type TinyFacts, type TinyRun, tinyKind, tinyRun } from '../support/tiny-run.js';

const NASTY = '<script>alert("x")</script> a|b';
const paths = { journal: 'j', markdown: 'm', html: 'h' };

const kinds = {
  good: tinyKind('tiny.good'),
  bad: tinyKind('tiny.bad', {
    check: async () => [{ level: 'warning', message: NASTY, next: 'look' }],
    verify: async () => [
      equal('postgres table public.x', 'rows', 12, 11),
      equal('postgres table public.y', 'rows', 3, 3),
    ],
  }),
  writing: tinyKind('tiny.writing', {
    effect: 'destroy',
    plan: async () =>
      readingPlan('write', ['rm everything'], { destroys: ['12 memories'], pointOfNoReturn: 'the rm' }),
    run: (_p, ctx) =>
      stepEvents<TinyFacts>(async (emit) => {
        emit.safetyCopy('the data', '/safe/copy', 'read to its end');
        await ctx.gateway.change({ channel: 'file', text: 'rm everything' }, async () => {});
        emit.facts({ ran: true });
      }),
  }),
};

/** A run that was recorded by the engine itself, as it lies on disk. */
async function recorded(tiny: TinyRun) {
  tiny.run.subscribe(() => {
    for (const id of tiny.run.getSnapshot().attention)
      queueMicrotask(() => tiny.run.intend({ type: 'confirm', step: id, typed: 'acme-test' }));
  });
  await tiny.run.preflight();
  tiny.run.intend({ type: 'note', text: `a note with ${NASTY}` });
  tiny.run.intend({ type: 'begin' });
  await tiny.run.finished;
  const run = findRun(dirname(tiny.run.journalFile));
  return { run, report: reportOf(run.events), fault: run.fault };
}

const failedRun = () =>
  recorded(
    tinyRun([step('good', kinds.good), step('bad', kinds.bad, ['good']), step('after', kinds.good, ['bad'])], {
      onFailure: 'stop',
    }),
  );

describe('what a journal tells', () => {
  test('is how each step ended: failed is failed, and what did not begin is skipped, not done', async () => {
    const { report } = await failedRun();
    expect(report.steps.map((one) => [one.id, one.outcome])).toEqual([
      ['good', 'succeeded'],
      ['bad', 'failed'],
      ['after', 'skipped'],
    ]);
    expect(report.finished?.outcome).toBe('failed');
  });

  test('is what was destroyed, by whom it was confirmed, what was kept and what was changed', async () => {
    const { report } = await recorded(tinyRun([step('drop', kinds.writing)]));
    expect(report.steps[0]).toMatchObject({
      outcome: 'succeeded',
      confirmedBy: report.started.operator,
      safetyCopies: [{ of: 'the data', at: '/safe/copy', verified: 'read to its end' }],
      changes: [{ channel: 'file', text: 'rm everything' }],
    });
    const text = markdownReport(report, '');
    for (const part of ['to be replaced: 12 memories', 'Confirmed by', '/safe/copy', 'file: rm everything'])
      expect(text).toContain(part);
  });

  test('of a run that ended without a word is that it is unfinished', async () => {
    const { run } = await recorded(tinyRun([step('a', kinds.good)]));
    const events = run.events.filter((event) => !['run.finished', 'step.finished'].includes(event.type));
    const report = reportOf(events);
    expect(report.steps[0]?.outcome).toBe('unfinished');
    expect(markdownReport(report, '')).toContain('UNFINISHED');
    expect(htmlReport(report, '')).toContain('UNFINISHED');
    expect(plainSummary(report, paths, '', 100).join('\n')).toContain('UNFINISHED');
  });

  test('without its beginning is refused', () => {
    expect(() => reportOf([])).toThrow(/how the run began/);
  });

  test('of a step that was tried twice is how it ended at last, with the evidence of the last attempt', async () => {
    let attempts = 0;
    const kind = tinyKind('tiny', {
      verify: async () => {
        attempts += 1;
        return [equal('tiny step', 'rows', 2, attempts)];
      },
    });
    const tiny = tinyRun([step('moody', kind)]);
    await tiny.begin();
    await tiny.until('moody', 'deciding');
    tiny.run.intend({ type: 'retry', step: 'moody' });
    await tiny.run.finished;
    const report = reportOf(findRun(tiny.folder).events);
    expect(report.steps[0]).toMatchObject({ outcome: 'succeeded', checks: [{ actual: '2', ok: true }] });
  });
});

describe('a run that was left before anything was begun', () => {
  const summaryOf = ({ run: { journalFile } }: TinyRun) => {
    const { events, fault } = findRun(dirname(journalFile));
    const report = reportOf(events);
    return { report, text: plainSummary(report, paths, fault, 80).join('\n') };
  };

  test.each([
    ['at its plan', async (tiny: TinyRun) => tiny.run.preflight()],
    [
      'at the question for the cluster’s name',
      async (tiny: TinyRun) => {
        await tiny.begin();
        await tiny.until('writing', 'asking');
      },
    ],
  ])('%s says that nothing was changed, and claims no time', async (_where, reach) => {
    const tiny = tinyRun([step('writing', kinds.writing), step('good', kinds.good, ['writing'])]);
    await reach(tiny);
    expect(tiny.run.getSnapshot().begun).toBe(false);
    tiny.run.intend({ type: 'abort' });
    expect(await tiny.run.finished).toBe('aborted');
    const { report, text } = summaryOf(tiny);
    expect(text).toMatch(/^\nTiny: not begun: nothing was changed\n/);
    expect(text).not.toMatch(/aborted|Timeline| ms| s\n/);
    expect(markdownReport(report, '')).toMatch(/\| RTO \| none: not begun \|\n\| RPO \| none: not begun \|/);
    expect(exitCodeOf(tiny.run.getSnapshot())).toBe(EXIT.aborted);
  });

  test('and one that was left afterwards says how it is gone on with', async () => {
    const tiny = tinyRun([step('good', kinds.good), step('writing', kinds.writing, ['good'])]);
    await tiny.begin();
    await tiny.until('writing', 'asking');
    tiny.run.intend({ type: 'abort' });
    expect(await tiny.run.finished).toBe('aborted');
    const { report, text } = summaryOf(tiny);
    expect(text).toMatch(
      /^\nTiny: aborted by the operator in \d[\s\S]*\n\n {2}Next {6}go on with it: novamem-runbook resume tiny-/,
    );
    expect(markdownReport(report, '')).toMatch(/## What next\n\ngo on with it: novamem-runbook resume tiny-/);
  });

  test('keeps what an earlier process has done and left half done, when it was taken up again', async () => {
    const steps = [step('good', kinds.good), step('bad', kinds.bad, ['good']), step('after', kinds.good, ['bad'])];
    const tiny = tinyRun(steps, { onFailure: 'stop' });
    expect(await tiny.toEnd()).toBe('failed');
    const { run } = await laterUndo(tiny, steps, { purpose: 'go on' });
    run.intend({ type: 'abort' });
    expect(await run.finished).toBe('aborted');
    expect(run.getSnapshot().steps.map(({ state }) => state)).toEqual(['succeeded', 'failed', 'skipped']);
    const { report, text } = summaryOf(tiny);
    expect(text).toMatch(/^\nTiny: left as it was: nothing further was begun or changed\n\nTimeline\n/);
    expect(report.steps.map(({ outcome }) => outcome)).toEqual(['succeeded', 'failed', 'skipped']);
    expect(text).toMatch(/bad failed: .*\n {2}1 of 2 checks failed/);
  });
});

describe('the reports', () => {
  test('say a failure in their first line, in words', async () => {
    const { report, fault } = await failedRun();
    expect(markdownReport(report, fault).split('\n')[0]).toBe('# Tiny: FAILED');
    expect(htmlReport(report, fault)).toContain('<h1>Tiny: FAILED</h1>');
    expect(plainSummary(report, paths, fault, 100).join('\n')).toContain('Tiny: FAILED');
  });

  test('name every difference, expected against found', async () => {
    const { report, fault } = await failedRun();
    expect(markdownReport(report, fault)).toContain('**postgres table public.x**, rows: expected 12, found 11');
    expect(plainSummary(report, paths, fault, 100).join('\n')).toMatch(/1 DIFFER/);
    expect(htmlReport(report, fault)).toContain('1 differ');
  });

  test('say of a step that ended half-way what it left, the way back, and what to type', async () => {
    const half = tinyKind('tiny.half', {
      plan: async () =>
        readingPlan('replace all', [], { onAbort: 'half of it is replaced', wayBack: 'the copy of before' }),
      run: (_p, ctx) =>
        stepEvents<TinyFacts>(async (emit) => {
          emit.safetyCopy('the data', '/safe/copy', 'read to its end');
          await ctx.gateway.change({ channel: 'file', text: 'rm' }, () =>
            Promise.reject(new Error('the disk is full')),
          );
        }),
    });
    const { report, fault } = await recorded(
      tinyRun([step('half', half), step('after', kinds.good, ['half'])], { onFailure: 'stop' }),
    );
    const [plain, markdown] = [plainSummary(report, paths, fault, 100), markdownReport(report, fault).split('\n')];
    expect(plain.slice(plain.indexOf('half failed: replace all')).slice(0, 6)).toEqual([
      'half failed: replace all',
      '  the disk is full',
      '  Left      half of it is replaced',
      '  Way back  the copy of before',
      '  Kept      the data: /safe/copy (read to its end)',
      expect.stringMatching(/^ {2}Next {6}mend what it says, .*: novamem-runbook run tiny --profile acme-test/),
    ]);
    for (const line of ['- left: half of it is replaced', '- way back: the copy of before', '## What next'])
      expect(markdown).toContain(line);
    const { report: whole } = await recorded(tinyRun([step('a', kinds.good)]));
    expect(plainSummary(whole, paths, fault, 100).join('\n')).not.toMatch(/Left|Way back|Next/);
  });

  test('of a dry run cannot be taken for those of a recovery', async () => {
    const { report, fault } = await recorded(tinyRun([step('a', kinds.good)], { mode: 'dry-run' }));
    for (const text of [
      markdownReport(report, fault).split('\n')[0]!,
      /<h1>.*<\/h1>/.exec(htmlReport(report, fault))![0],
      plainSummary(report, paths, fault, 100)[1]!,
    ])
      expect(text).not.toMatch(/recovered|complete/);
    expect(markdownReport(report, fault)).toContain('DRY RUN: nothing was touched');
  });

  test('say when the journal is not the one that was written', async () => {
    const { report } = await failedRun();
    const fault = 'line 4 does not follow the line before it';
    for (const text of [
      markdownReport(report, fault),
      htmlReport(report, fault),
      plainSummary(report, paths, fault, 100).join('\n'),
    ])
      expect(text).toContain(`NOT INTACT: ${fault}`);
  });

  test('keep what they quote from becoming part of them', async () => {
    const { report, fault } = await failedRun();
    const html = htmlReport({ ...report, started: { ...report.started, title: NASTY, operator: NASTY } }, fault);
    expect(html).not.toContain('<script>');
    const markdown = markdownReport({ ...report, started: { ...report.started, operator: NASTY } }, fault);
    expect(markdown.split('\n').find((line) => line.startsWith('| Operator'))).toContain('a\\|b');
  });

  test('are written beside the journal for their owner only, without secrets', async () => {
    const secret = 'never-in-a-report-1';
    keepSecret(secret);
    const leaky = tinyKind('tiny.leaky', { plan: async () => readingPlan(`with ${secret}`, [`psql ${secret}`]) });
    const { run } = await recorded(tinyRun([step('leaky', leaky)]));
    const written = writeReports(run);
    for (const file of Object.values(written)) {
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(readFileSync(file, 'utf8')).not.toContain(secret);
    }
    expect(readFileSync(written.markdown, 'utf8')).toContain('‹secret›');
  });
});

describe('the recording', () => {
  test('is an asciicast v2 that says what the plain lines say, when they were said, and steers no terminal', async () => {
    const { run } = await recorded(tinyRun([step('drop', kinds.writing)]));
    for (const event of run.events) if (event.type === 'note') event.text = 'a bell\u0007, \u001b[2J and \u009b2J';
    const [header, ...events] = castLines(run.events, '').map((line) => JSON.parse(line));
    expect(header).toEqual({
      version: 2,
      width: 80,
      height: 24,
      timestamp: Math.floor(Date.parse(run.events[0]!.ts) / 1000),
      title: `Tiny on acme-test, live: it really happened, run ${run.id}`,
      idle_time_limit: 2,
    });
    const told = events.filter(([, type]) => type === 'o');
    const lines = run.events.flatMap((event) =>
      plainLines(event).map((line) => [
        (Date.parse(event.ts) - Date.parse(run.events[0]!.ts)) / 1000,
        'o',
        `${linesWithoutControls(line)}\r\n`,
      ]),
    );
    expect(told).toEqual(lines);
    expect(events.filter(([, type]) => type === 'm').map(([, , label]) => label)).toEqual(['drop']);
    expect(told.map(([, , text]) => text.replaceAll('\r\n', '')).join('')).not.toMatch(
      /[\u0000-\u001f\u007f-\u009f]/,
    );
  });

  test('goes on only, whatever the clock did, and says where the journal is not whole', async () => {
    const { run } = await recorded(tinyRun([step('a', kinds.good)]));
    const half = Math.floor(run.events.length / 2);
    const events = run.events.map((event, at) =>
      at < half ? event : { ...event, ts: new Date(Date.parse(event.ts) - 3_600_000).toISOString() },
    );
    const [, ...output] = castLines(events, 'line 4 is not JSON').map((line) => JSON.parse(line));
    const times = output.map(([seconds]) => seconds as number);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(times[0]).toBe(0);
    expect(output.at(-1)[2]).toBe('The journal of this run is not whole: line 4 is not JSON.\r\n');
  });
});

describe('the evidence', () => {
  test('adds counts up, and says of everything else how many are equal', () => {
    const rows = evidenceRows([
      equal('postgres table a', 'rows', 1000, 1000),
      equal('postgres table b', 'rows', 234, 230),
      equal('postgres table a', 'row checksum', 'x', 'x'),
      equal('postgres table b', 'row checksum', 'y', 'z'),
    ]);
    expect(rows).toEqual([
      { store: 'postgres', what: 'rows (tables)', expected: '1,234', actual: '1,230', checks: 2, failed: 1 },
      { store: 'postgres', what: 'row checksum (tables)', expected: '2', actual: '1 equal', checks: 2, failed: 1 },
    ]);
  });

  test('counts what was seen last, when two steps looked at the same', () => {
    const [row, ...others] = evidenceRows([
      equal('postgres table a', 'rows', 5, 4),
      equal('postgres table a', 'rows', 5, 5),
    ]);
    expect(row).toMatchObject({ actual: '5', failed: 0 });
    expect(others).toEqual([]);
  });

  test('fits the width of a terminal', () => {
    const rows = evidenceRows([equal(`falkordb graph ${'x'.repeat(200)}`, 'y'.repeat(300), 'z'.repeat(300), 1)]);
    expect(Math.max(...evidenceTable(rows).map((line) => line.length))).toBeLessThanOrEqual(100);
  });
});

describe('the plain lines', () => {
  test('tell a run from its beginning to its end, and stay silent about what says nothing', async () => {
    const { run } = await failedRun();
    const lines = run.events.flatMap(plainLines);
    expect(lines[0]).toMatch(/ run +Tiny on acme-test, live: it really happened/);
    expect(lines.at(-1)).toMatch(/ run +failed after/);
    expect(lines.join('\n')).toContain('NOT EQUAL postgres table public.x, rows: expected 12, found 11');
    expect(lines.join('\n')).toContain('; next: look');
    expect(run.events.filter((event) => event.type === 'step.planned').flatMap(plainLines)).toEqual([]);
  });

  test('shout that a cluster is production', async () => {
    const { run } = await recorded(tinyRun([step('a', kinds.good)]));
    const started = { ...run.events[0], production: true } as JournalEvent;
    expect(plainLines(started)[0]).toContain('acme-test (PRODUCTION)');
  });
});

describe('the plan', () => {
  test('shows the commands, what they destroy and the way back, and that nothing was touched', async () => {
    const { report } = await recorded(tinyRun([step('drop', kinds.writing)], { mode: 'dry-run' }));
    const text = planLines(report).join('\n');
    for (const part of [
      'Would run  rm everything',
      'Destroys   12 memories',
      'No return  the rm',
      'Nothing was touched',
    ])
      expect(text).toContain(part);
  });

  test('counts what would block', async () => {
    const blocked = tinyKind('tiny', {
      check: async () => [{ level: 'blocking', message: 'no dump', next: 'find one' }],
    });
    const { report } = await recorded(tinyRun([step('a', blocked)], { mode: 'dry-run' }));
    const text = planLines(report).join('\n');
    expect(text).toContain('1 finding(s) would block this run');
    expect(text).toContain('next: find one');
  });
});
