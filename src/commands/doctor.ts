import { listProfiles } from '../config/profiles.js';
import { type Examination, examine } from '../engine/doctor/doctor.js';
import { EXIT } from '../problem.js';
import { findBinaries } from '../sandbox/binaries.js';
import { sandboxNames } from '../sandbox/sandbox.js';
import { jsonLine, plural } from '../words.js';
import { findCluster } from './find-cluster.js';
import { print, wrapped } from './print.js';
import { triedLines } from './profile.js';

/**
 * `doctor`: what is missing for which scenario, and how to get it. Exit 0 when nothing blocks, 1 when something does, 2 when the profile
 * cannot be used. Without a profile it looks at this machine.
 */
export async function doctorCommand({ profile, json }: { profile?: string; json?: boolean }): Promise<number> {
  const isNamed = profile !== undefined || listProfiles().current !== undefined || sandboxNames().length > 0;
  const examination = await examine(isNamed ? findCluster(profile) : undefined, findBinaries);
  if (json) print(jsonLine(examination));
  else print(...linesOf(examination));
  const { reached, observations, obstacles } = examination;
  if (reached.some(({ outcome }) => outcome === 'misconfigured')) return EXIT.usage;
  const blocks = [...observations, ...obstacles].some(({ level }) => level === 'blocking');
  return blocks || reached.some(({ outcome }) => outcome !== 'answers') ? EXIT.stepFailed : EXIT.recovered;
}

function linesOf({ cluster, reached, observations, possible, obstacles }: Examination): string[] {
  const all = [...observations, ...obstacles];
  const blocking = all.filter(({ level }) => level === 'blocking').length;
  const warnings = all.filter(({ level }) => level === 'warning').length;
  const isAsked = reached.every(({ outcome }) => outcome !== 'misconfigured');
  return [
    `${cluster ?? 'This machine'}: ${plural(blocking, 'obstacle')}, ${plural(warnings, 'warning')}. Nothing was touched.`,
    ...(reached.length > 0 ? ['', ...triedLines(reached).flatMap((line) => wrapped(line, 12))] : []),
    ...(['blocking', 'warning'] as const).flatMap((level) => [
      ...observations
        .filter((one) => one.level === level)
        .flatMap(({ about, message, next, concerns = [] }) => [
          ...told(level, `${about}: ${message}`, next),
          ...(concerns.length > 0 ? wrapped(`  concerns ${concerns.join(', ')}`, 11) : []),
        ]),
      ...obstacles
        .filter((one) => one.level === level)
        .flatMap(({ message, next, concerns }) => [
          ...told(level, message, next),
          ...wrapped(`  concerns ${concernsOf(concerns)}`, 11),
        ]),
    ]),
    '',
    'As it should be',
    ...observations
      .filter(({ level }) => level === 'ok')
      .flatMap(({ about, message }) => wrapped(`  ${about}: ${message}`, 4)),
    ...(cluster === null
      ? ['', ...wrapped('No cluster is known yet. Next: novamem-runbook profile import-env .env, or profile add', 2)]
      : isAsked
        ? ['', ...wrapped(`Nothing stands in the way of: ${possible.join(', ') || 'no scenario'}`, 2)]
        : ['', 'No scenario was looked at: first the profile is to be mended.']),
  ];
}

function told(level: 'blocking' | 'warning', message: string, next: string | undefined): string[] {
  return [
    '',
    ...wrapped(`${level === 'blocking' ? '✗ blocks' : '! warning'}  ${message}`, 11),
    ...(next ? wrapped(`  next     ${next}`, 11) : []),
  ];
}

/** The scenarios, each with how many of its steps: `whole-cluster-lost (2 steps)`. */
function concernsOf(concerns: readonly string[]): string {
  const counts = new Map<string, string[]>();
  for (const concern of concerns) {
    const [scenario = '', step = ''] = concern.split(': ');
    counts.set(scenario, [...(counts.get(scenario) ?? []), step]);
  }
  return [...counts]
    .map(([scenario, steps]) => `${scenario} (${steps.length === 1 ? steps[0] : plural(steps.length, 'step')})`)
    .join(', ');
}
