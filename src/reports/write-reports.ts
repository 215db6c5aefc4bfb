import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Run } from '../engine/run.js';
import { findRun, type RecordedRun } from '../engine/runs.js';
import { htmlReport } from './html.js';
import { markdownReport } from './markdown.js';
import { reportOf } from './run-report.js';

/** Writes report.md and report.html into the run's folder. They are derived: the journal stays the truth. */
export function writeReports({ folder, events, fault }: RecordedRun): { markdown: string; html: string } {
  const report = reportOf(events);
  const paths = { markdown: join(folder, 'report.md'), html: join(folder, 'report.html') };
  writeFileSync(paths.markdown, markdownReport(report, fault), { mode: 0o600 });
  writeFileSync(paths.html, htmlReport(report, fault), { mode: 0o600 });
  return paths;
}

/** The same of a run that has just ended on a screen, which names them. Where they cannot be written `report` can make them later. */
export function writeReportsOf({ journalFile }: Pick<Run, 'journalFile'>): void {
  try {
    writeReports(findRun(dirname(journalFile)));
  } catch {
    // A full disk, say: the journal stays the truth.
  }
}
