import { profileWord } from '../config/profiles.js';
import { type Diagnosis, diagnose } from '../engine/diagnosis.js';
import { shellWord } from '../hosts/command.js';
import { EXIT } from '../problem.js';
import { loadRunbook } from '../runbook/library.js';
import { lessonShell } from '../sandbox/lesson-shell.js';
import { Cluster } from '../stores/cluster.js';
import { jsonLine, plural } from '../words.js';
import { findCluster } from './find-cluster.js';
import { print } from './print.js';

/** `diagnose`: what is seen, which scenario fits, and why. Exit 0 when the cluster is healthy, else 1. */
export async function diagnoseCommand({ profile, json }: { profile?: string; json?: boolean }): Promise<number> {
  const found = findCluster(profile);
  const diagnosis = await diagnose(new Cluster(found));
  const told = lessonShell()?.predicted === false ? withheld(diagnosis) : diagnosis;
  if (json) print(jsonLine(told));
  else print(...diagnosisLines(told, shellWord(profileWord(found))));
  return diagnosis.healthy ? EXIT.recovered : EXIT.stepFailed;
}

/** What is seen, without what follows from it. */
const withheld = (diagnosis: Diagnosis): Diagnosis => ({
  ...diagnosis,
  scenarios: [],
  advice: [
    ...(diagnosis.healthy
      ? []
      : ['Say what it means: the questions of the lesson come first (exit leads back to it)']),
  ],
});

function diagnosisLines(
  { cluster, healthy, scenarios, symptoms, well, advice }: Diagnosis,
  profile: string,
): string[] {
  const explained = new Set(scenarios.flatMap((one) => one.reasons));
  const others = symptoms.filter((one) => !explained.has(one.seen));
  return [
    healthy ? `${cluster} is healthy.` : `${cluster}: ${plural(symptoms.length, 'symptom')}. Nothing was touched.`,
    ...scenarios.flatMap(({ scenario, confidence, reasons }, index) => [
      '',
      `${index + 1}. ${scenario} (${confidence}): ${loadRunbook(scenario).title}`,
      ...reasons.map((reason) => `   ${reason}`),
    ]),
    ...(others.length > 0 ? ['', 'Seen besides', ...others.map((one) => `   ${one.seen}`)] : []),
    ...(well.length > 0 ? ['', 'As it should be', ...well.map((line) => `   ${line}`)] : []),
    ...(advice.length > 0 ? ['', 'First', ...advice.map((line) => `   ${line}.`)] : []),
    ...(scenarios[0] ? ['', `Next: novamem-runbook plan ${scenarios[0].scenario} --profile ${profile}`] : []),
  ];
}
