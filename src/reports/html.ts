import { durationOf } from '../words.js';
import { evidenceRows } from './evidence.js';
import { modeWords, outcomeWords, timesOf } from './markdown.js';
import type { RunReport } from './run-report.js';

const escaped = (text: string) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** The report of a run as one self-contained page with a timeline. */
export function htmlReport(report: RunReport, fault: string): string {
  const { started, finished } = report;
  const times = timesOf(report);
  const begin = Date.parse(started.ts);
  const whole = Math.max(1, (finished ? Date.parse(finished.ts) : begin + 1) - begin);
  const bars = report.steps.map((step) => {
    const from = step.startedAt ? ((Date.parse(step.startedAt) - begin) / whole) * 100 : 0;
    const width = step.startedAt ? Math.max(0.4, (step.tookMs / whole) * 100) : 0;
    return `<tr><td>${escaped(step.id)}<td class="${step.outcome}">${step.outcome}<td>${durationOf(step.tookMs)}<td class="time"><i style="margin-left:${from.toFixed(2)}%;width:${width.toFixed(2)}%"></i>`;
  });
  const rows = evidenceRows(report.steps.flatMap((step) => step.checks)).map(
    (row) =>
      `<tr><td>${row.store}<td>${escaped(row.what)}<td>${escaped(row.expected)}<td>${escaped(row.actual)}<td class="${row.failed === 0 ? 'succeeded' : 'failed'}">${row.failed === 0 ? 'equal' : `${row.failed} differ`}`,
  );
  const facts = [
    ['Cluster', started.profile],
    ['Mode', modeWords(started.mode)],
    ['Run', report.id],
    ['Operator', started.operator],
    ['Started', started.ts],
    ['RTO', times.rto],
    ['RPO', times.rpo],
    ['Backup set', started.backup ? `${started.backup.id} (${started.backup.kind})` : (started.newBackup ?? 'none')],
    ['Journal', fault === '' ? 'intact' : `NOT INTACT: ${fault}`],
  ];
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escaped(started.title)}: ${outcomeWords(report)}</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}
table{border-collapse:collapse;width:100%;margin:1rem 0}td,th{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #8884;vertical-align:top}
.time{width:45%}.time i{display:block;height:.9rem;background:#4a7ebb;border-radius:2px}
.failed,.unknown,.unfinished{color:#c0392b;font-weight:600}.succeeded{color:#2e8b57}
</style>
<h1>${escaped(started.title)}: ${outcomeWords(report)}</h1>
<table>${facts.map(([name, value]) => `<tr><th>${name}<td>${escaped(value ?? '')}`).join('')}</table>
<h2>Timeline</h2><table><tr><th>step<th>outcome<th>took<th>${bars.join('')}</table>
<h2>Evidence</h2><table><tr><th>store<th>compared<th>expected<th>found<th>${rows.join('')}</table>
</html>
`;
}
