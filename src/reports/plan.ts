import { fingerprintText } from '../stores/fingerprint.js';
import { expectedText, takesText } from './estimate-words.js';
import { modeWords } from './markdown.js';
import { obstaclesIn, type RunReport } from './run-report.js';

/** What a run would do, for people: every step with its commands, what it would destroy, and what was found. */
export function planLines(report: RunReport): string[] {
  const { started, steps } = report;
  const blocking = obstaclesIn(report);
  return [
    `${started.title} on ${started.profile}${started.production ? ' (PRODUCTION)' : ''} · ${modeWords(started.mode)}`,
    `cluster: ${fingerprintText(started.fingerprint)}`,
    ...(started.backup ? [`from backup set ${started.backup.id} (${started.backup.folder})`] : []),
    ...report.notes.map((one) => `! ${one.text}`),
    ...steps.flatMap((step, index) => {
      const { plan } = step;
      return [
        '',
        `${index + 1}. ${step.id} (${step.uses})`,
        `   ${step.summary}`,
        ...(step.why ? [`   Why        ${step.why}`] : []),
        ...(step.only
          ? [`   Only       when ${step.only.step} is answered with ${step.only.choices.join(' or ')}`]
          : []),
        ...(plan?.asks?.type === 'choose'
          ? plan.asks.options.map(({ choice, title }) => `   Choice     ${choice}: ${title}`)
          : []),
        ...(plan?.asks?.type === 'type' ? [`   To type    ${plan.asks.words}`] : []),
        ...(plan?.asks?.type === 'text'
          ? plan.asks.hint.map((line, at) => `   ${at === 0 ? 'To type  ' : '         '}  ${line}`)
          : []),
        ...(plan?.notApplicable ? [`   Skipped    ${plan.notApplicable}`] : []),
        ...(plan?.notAskedFor ? [`   Left out   ${plan.notAskedFor}`] : []),
        ...(plan?.commands ?? []).map((command, at) => `   ${at === 0 ? 'Would run' : '         '}  ${command}`),
        ...(plan?.destroys ?? []).map((what) => `   Destroys   ${what}`),
        ...(plan?.uncounted ? [`   Destroys   not counted: ${plan.uncounted}`] : []),
        ...(plan && (plan.destroys.length > 0 || plan.uncounted)
          ? [`   Way back   ${plan.wayBack}`, `   No return  ${plan.pointOfNoReturn}`]
          : []),
        ...(plan ? [`   On abort   ${plan.onAbort}`] : []),
        ...[takesText(plan) ?? []].flat().map((takes) => `   Takes      ${takes}`),
        ...step.findings.map(
          (finding) =>
            `   ${MARKS[finding.level]} ${finding.message}${finding.next ? `\n     next: ${finding.next}` : ''}`,
        ),
      ];
    }),
    '',
    ...(report.expected.ms > 0 ? [`Expected to be at work for ${expectedText(report.expected)}.`] : []),
    blocking.length === 0
      ? 'Nothing would block this run. Nothing was touched.'
      : `${blocking.length} finding(s) would block this run. Nothing was touched.`,
  ];
}

const MARKS = { blocking: '✗ blocking:', warning: '! warning:', info: '·' } as const;
