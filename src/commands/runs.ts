import { join } from 'node:path';
import { history, outcomeWord } from '../engine/history.js';
import { JOURNAL_FILE } from '../engine/journal.js';
import { findRun } from '../engine/runs.js';
import { EXIT, Problem } from '../problem.js';
import { castLines } from '../reports/cast.js';
import { htmlReport } from '../reports/html.js';
import { junitReport } from '../reports/junit.js';
import { markdownReport, outcomeWords } from '../reports/markdown.js';
import { plainLines } from '../reports/plain.js';
import { reportOf } from '../reports/run-report.js';
import { durationOf, instantOf, plural } from '../words.js';
import { columns, print } from './print.js';

export async function runsListCommand({ json }: { json?: boolean }): Promise<number> {
  const entries = history();
  const rows = entries.map(({ id, scenario, cluster, mode, startedAt, outcome, begun, tookMs }) => ({
    id,
    scenario: scenario ?? '?',
    profile: cluster ?? '?',
    mode: mode ?? '?',
    startedAt: startedAt?.toISOString() ?? null,
    outcome,
    begun,
    rtoMs: tookMs,
  }));
  if (json) print(JSON.stringify(rows));
  else if (rows.length === 0) print('No run is recorded yet.');
  else {
    print(
      ...columns([
        ['RUN', 'SCENARIO', 'CLUSTER', 'MODE', 'STARTED', 'TOOK', 'OUTCOME'],
        ...rows.map((row, at) => [
          row.id,
          row.scenario,
          row.profile,
          row.mode,
          row.startedAt ? instantOf(new Date(row.startedAt)) : '?',
          row.rtoMs === null ? '' : durationOf(row.rtoMs),
          outcomeWord(entries[at]!),
        ]),
      ]),
    );
  }
  return EXIT.recovered;
}

export async function runsShowCommand(wanted: string): Promise<number> {
  const { events, fault, folder } = findRun(wanted);
  for (const event of events) print(...plainLines(event));
  print('', `${outcomeWords(reportOf(events))} · journal ${join(folder, JOURNAL_FILE)} (${fault || 'intact'})`);
  return EXIT.recovered;
}

/** Checks the chain of a journal: exit 1 when it is not the journal that was written. */
export async function runsVerifyCommand(wanted: string): Promise<number> {
  const { events, fault, id } = findRun(wanted);
  print(
    fault === ''
      ? `${id}: intact, ${plural(events.length, 'event')}, each follows the one before it`
      : `${id}: NOT INTACT: ${fault}`,
  );
  return fault === '' ? EXIT.recovered : EXIT.stepFailed;
}

const FORMATS = ['md', 'html', 'junit', 'json', 'cast'] as const;

export async function reportCommand(wanted: string, { format }: { format: string }): Promise<number> {
  const { events, fault } = findRun(wanted);
  const report = reportOf(events);
  switch (format) {
    case 'md':
      print(markdownReport(report, fault));
      break;
    case 'html':
      print(htmlReport(report, fault));
      break;
    case 'junit':
      print(junitReport(report));
      break;
    case 'json':
      print(JSON.stringify({ ...report, journal: fault === '' ? 'intact' : fault }, null, 2));
      break;
    case 'cast':
      print(...castLines(events, fault));
      break;
    default:
      throw new Problem(`There is no report format "${format}".`, { next: `choose one of: ${FORMATS.join(', ')}` });
  }
  return EXIT.recovered;
}
