import { standingLine } from '../engine/standing.js';
import type { Check } from '../stores/check.js';
import { countOf, durationOf, plural, withoutControls } from '../words.js';
import { aboutText } from './estimate-words.js';
import { evidenceRows } from './evidence.js';
import { modeWords, outcomeWords, timesOf, workText } from './markdown.js';
import { isLeftOpen, nextAfter, type RunReport, type StepReport } from './run-report.js';

const escaped = (text: string) => withoutControls(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** A screen as wide as a desktop's or a phone's, a sheet of paper, light or dark: columns that do not fit are scrolled to. */
const STYLE = `
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;line-height:1.25}h2{font-size:1.15rem;margin-top:2rem}h3{font-size:1rem;margin:1.2rem 0 .2rem}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid #8884;vertical-align:top}
th{font-weight:600;white-space:nowrap}.number{text-align:right;white-space:nowrap}.name{white-space:nowrap}
.value{overflow-wrap:anywhere;min-width:7rem}
.time{min-width:12rem;width:45%}.time i{display:block;height:.9rem;min-width:2px;background:#4a7ebb;border-radius:2px}
.bad{color:#c0392b;font-weight:600}.good{color:#2e8b57}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#8881;padding:.5rem;font-size:.85rem;margin:.3rem 0}
ul{margin:.3rem 0;padding-left:1.2rem}
@media (max-width:40rem){body{margin:1rem auto;font-size:14px}.value{min-width:3.5rem}th,td{padding-right:.4rem}
.timeline td:nth-child(4),.timeline th:nth-child(4),.timeline td:nth-child(5),.timeline th:nth-child(5){display:none}.time{min-width:4rem}}
@media print{:root{color-scheme:light}body{max-width:none;margin:0;font-size:10pt}.wide{overflow:visible}
tr,h2,h3{break-inside:avoid}h2,h3{break-after:avoid}.time i{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
`;

/** The report of a run as one page that needs nothing else: facts, what differs, the RTO split by step, evidence, what was done. */
export function htmlReport(report: RunReport, fault: string): string {
  const title = `${report.started.title}: ${outcomeWords(report)}`;
  const checks = report.steps.flatMap((step) => step.checks);
  const different = checks.filter((check) => !check.ok);
  return [
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
    `<title>${escaped(title)}</title><style>${STYLE}</style>`,
    `<h1>${escaped(title)}</h1>`,
    table(
      [],
      factsOf(report, fault).map(([name, value]) => `<th>${escaped(name)}<td class="value">${escaped(value)}`),
    ),
    ...(different.length > 0 ? ['<h2>What differs</h2>', differences(different)] : []),
    ...(isLeftOpen(report) ? [`<h2>What next</h2><p>${escaped(nextAfter(report))}`] : []),
    ...outcomes(report),
    '<h2>Where the time went</h2>',
    timeline(report),
    `<h2>Evidence: ${plural(checks.length, 'comparison')}, ${different.length === 0 ? 'all equal' : `${countOf(different.length)} differ`}</h2>`,
    evidence(checks),
    ...notes(report),
    '<h2>Step by step</h2>',
    ...report.steps.map(stepSection),
    '</html>',
    '',
  ].join('\n');
}

function table(heads: string[], rows: string[], kind = ''): string {
  const head = heads.length > 0 ? `<tr>${heads.map((one) => `<th>${one}`).join('')}` : '';
  return `<div class="wide ${kind}"><table>${head}${rows.map((row) => `<tr>${row}`).join('')}</table></div>`;
}

function factsOf(report: RunReport, fault: string): [string, string][] {
  const { id, started, finished } = report;
  const times = timesOf(report);
  const { backup, newBackup, drillOf } = started;
  return [
    ...(drillOf === null || drillOf === undefined ? [] : ([['Drill of', drillOf]] as [string, string][])),
    ['Cluster', started.profile + (started.production ? ' (production)' : '')],
    ['Mode', modeWords(started.mode)],
    ['Run', id],
    ['Operator', started.operator],
    ['Started', started.ts],
    ['RTO', times.rto],
    ...(finished && report.expected.ms > 0 ? ([['At work', workText(report)]] as [string, string][]) : []),
    ['RPO', times.rpo],
    ['Backup set', backup ? `${backup.id} (${backup.kind}), ${backup.folder}` : (newBackup ?? 'none')],
    ['Journal', fault === '' ? 'intact: every line follows the line before it' : `NOT INTACT: ${fault}`],
  ];
}

const differences = (checks: Check[]) =>
  table(
    ['what', 'compared', 'expected', 'found'],
    checks.map(
      ({ subject, what, expected, actual }) =>
        `<td class="value">${escaped(subject)}<td>${escaped(what)}<td class="value">${escaped(expected)}<td class="value bad">${escaped(actual)}`,
    ),
  );

function outcomes({ started, steps, finished }: RunReport): string[] {
  const said = steps.filter((step) => step.outcome === 'succeeded' && step.reason !== '');
  const lines = [
    ...said.map((step) => `${step.id}: ${step.reason}`),
    // Of a throw-away cluster nothing stands any more.
    ...(started.mode === 'drill' ? [] : (finished?.standing ?? []).map(standingLine)),
  ];
  return lines.length === 0 ? [] : ['<h2>What came of it</h2>', list(lines)];
}

const list = (lines: string[]) => `<ul>${lines.map((line) => `<li>${escaped(line)}`).join('')}</ul>`;

const tone = (outcome: StepReport['outcome']) =>
  outcome === 'succeeded' ? 'good' : ['failed', 'unknown', 'unfinished'].includes(outcome) ? 'bad' : '';

/** Each step against the whole run. Steps that ran side by side add up to more than the whole. */
function timeline({ started, finished, steps }: RunReport): string {
  const begin = Date.parse(started.ts);
  const whole = Math.max(1, (finished ? Date.parse(finished.ts) : begin + 1) - begin);
  return table(
    ['step', 'outcome', 'took', 'expected', 'of all', ''],
    steps.map(({ id, outcome, startedAt, tookMs, plan }) => {
      const from = startedAt ? ((Date.parse(startedAt) - begin) / whole) * 100 : 0;
      const share = startedAt ? (tookMs / whole) * 100 : 0;
      const bar = startedAt
        ? `<i style="margin-left:${Math.min(from, 99).toFixed(2)}%;width:${Math.min(share, 100 - from).toFixed(2)}%"></i>`
        : '';
      return `<td class="name">${escaped(id)}<td class="name ${tone(outcome)}">${outcome}<td class="number">${startedAt ? durationOf(tookMs) : ''}<td class="number">${escaped(aboutText(plan))}<td class="number">${startedAt ? `${share.toFixed(0)} %` : ''}<td class="time">${bar}`;
    }),
    'timeline',
  );
}

const evidence = (checks: Check[]) =>
  table(
    ['store', 'compared', 'expected', 'found', ''],
    evidenceRows(checks).map(
      ({ store, what, expected, actual, failed }) =>
        `<td class="name">${escaped(store)}<td>${escaped(what)}<td class="value">${escaped(expected)}<td class="value">${escaped(actual)}<td class="name ${failed === 0 ? 'good' : 'bad'}">${failed === 0 ? 'equal' : `${failed} differ`}`,
    ),
  );

function notes({ notes: all }: RunReport): string[] {
  return all.length === 0 ? [] : ['<h2>Notes</h2>', list(all.map(({ at, who, text }) => `${at} ${who}: ${text}`))];
}

function stepSection({
  id,
  summary,
  outcome,
  reason,
  confirmedBy,
  findings,
  safetyCopies,
  changes,
}: StepReport): string {
  const lines = [
    ...(confirmedBy ? [`confirmed by ${confirmedBy}`] : []),
    ...findings.map((finding) => `${finding.level}: ${finding.message}`),
    ...safetyCopies.map((copy) => `safety copy of ${copy.of}: ${copy.at} (${copy.verified})`),
  ];
  return [
    `<h3>${escaped(id)} <span class="${tone(outcome)}">${outcome}</span></h3>`,
    `<p>${escaped(summary)}${reason ? `: ${escaped(reason)}` : ''}`,
    lines.length > 0 ? list(lines) : '',
    changes.length > 0
      ? `<pre>${changes.map(({ at, channel, text }) => escaped(`${at} ${channel}: ${text}`)).join('\n')}</pre>`
      : '',
  ].join('');
}
