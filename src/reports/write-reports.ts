import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RecordedRun } from '../engine/runs.js';
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
