import { withoutControls } from '../words.js';
import type { RunReport, StepReport } from './run-report.js';

const LONGEST = 10_000;

const escaped = (text: string) =>
  withoutControls(text.slice(0, LONGEST)).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

const seconds = (ms: number) => (ms / 1000).toFixed(3);

/** A run as JUnit knows it: a suite for every step, with a case for the step itself and one for each of its comparisons. */
export function junitReport(report: RunReport): string {
  const { started, finished } = report;
  return document(`${started.title}: ${started.drillOf ?? started.profile}`, finished?.rtoMs ?? 0, [
    outcomeSuite(report),
    ...report.steps.map((step) => ({ name: step.id, at: step.startedAt, tookMs: step.tookMs, cases: casesOf(step) })),
  ]);
}

/** What could not even begin, as JUnit knows it: one case, with an error. */
export function junitProblem(title: string, why: string): string {
  return document(title, 0, [
    { name: 'begin', at: undefined, tookMs: 0, cases: [{ of: 'begin', name: 'it can begin', error: why }] },
  ]);
}

/** How the run ended: what a step alone does not tell, as exceptions and an abort, makes the file red, too. */
function outcomeSuite(report: RunReport): Suite {
  const ended = report.finished?.outcome ?? 'unfinished';
  const said: Case = { of: 'run', name: 'outcome', ...(ended === 'recovered' ? {} : { failure: `${ended}` }) };
  return { name: 'run', at: report.started.ts, tookMs: report.finished?.rtoMs ?? 0, cases: [said] };
}

interface Case {
  of: string;
  name: string;
  tookMs?: number;
  failure?: string;
  error?: string;
  skipped?: string;
  /** What it has to say although nothing is wrong. */
  said?: string;
}

interface Suite {
  name: string;
  at: string | undefined;
  tookMs: number;
  cases: Case[];
}

function casesOf(step: StepReport): Case[] {
  const self: Case = { of: step.uses, name: step.summary, tookMs: step.tookMs };
  if (step.outcome === 'skipped' || step.outcome === 'simulated') self.skipped = step.reason || step.outcome;
  else if (step.outcome !== 'succeeded') self.error = `${step.outcome}: ${step.reason}`;
  else if (step.reason !== '') self.said = step.reason;
  return [
    self,
    ...step.checks.map(({ subject, what, expected, actual, ok }) => ({
      of: step.uses,
      name: `${subject}: ${what}`,
      ...(ok ? {} : { failure: `expected ${expected}, found ${actual}` }),
    })),
  ];
}

function document(name: string, tookMs: number, suites: Suite[]): string {
  const counts = (cases: Case[]) =>
    `tests="${cases.length}" failures="${cases.filter((one) => one.failure !== undefined).length}" errors="${cases.filter((one) => one.error !== undefined).length}" skipped="${cases.filter((one) => one.skipped !== undefined).length}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="${escaped(name)}" ${counts(suites.flatMap((suite) => suite.cases))} time="${seconds(tookMs)}">`,
    ...suites.flatMap((suite) => [
      `  <testsuite name="${escaped(suite.name)}" ${counts(suite.cases)} time="${seconds(suite.tookMs)}"${suite.at ? ` timestamp="${suite.at.replace(/\.\d+Z$/, '')}"` : ''}>`,
      ...suite.cases.map(caseLine),
      '  </testsuite>',
    ]),
    '</testsuites>',
    '',
  ].join('\n');
}

function caseLine({ of, name, tookMs = 0, failure, error, skipped, said }: Case): string {
  const told = (tag: string, text: string) => `<${tag} message="${escaped(text)}"/>`;
  const inside = [
    failure === undefined ? '' : told('failure', failure),
    error === undefined ? '' : told('error', error),
    skipped === undefined ? '' : told('skipped', skipped),
    said === undefined ? '' : `<system-out>${escaped(said)}</system-out>`,
  ].join('');
  const head = `    <testcase classname="${escaped(of)}" name="${escaped(name)}" time="${seconds(tookMs)}"`;
  return inside === '' ? `${head}/>` : `${head}>${inside}</testcase>`;
}
