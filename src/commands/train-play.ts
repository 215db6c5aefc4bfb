import { prepareRun } from '../engine/prepare-run.js';
import type { TrainingRecord } from '../engine/training/record.js';
import { isPassed, lossWords } from '../engine/training/score.js';
import type { Training } from '../engine/training/training.js';
import { EXIT, Problem } from '../problem.js';
import { debriefLines, moveText } from '../reports/debrief.js';
import { isForShell, type Lesson, type Move, mapValues } from '../runbook/lesson.js';
import { scenarioOf } from '../runbook/library.js';
import type { Overrides } from '../runbook/runbook.js';
import type { Classroom } from '../sandbox/classroom.js';
import { listBackupSets } from '../stores/backup-set/find-backup-set.js';
import { runHeadless } from './headless.js';
import { print } from './print.js';

/**
 * Plays a lesson as it is written, without a person: its right way, which must come to full marks, or its wrong one, which must cost
 * what the lesson says. Answers the exit code: 1 where the lesson is not as it says.
 */
export async function playLesson(training: Training, classroom: Classroom, way: 'right' | 'wrong'): Promise<number> {
  const { lesson } = training;
  let told = 0;
  training.subscribe(() => {
    const { lines } = training.getSnapshot();
    print(...lines.slice(told).map((line) => `   ${line}`));
    told = lines.length;
  });
  print(`1  ${lesson.title}: a throw-away cluster is made, and broken`);
  await training.start();
  const { phase, problem, pager, users } = training.getSnapshot();
  if (phase === 'failed')
    throw new Problem(problem[0] ?? 'The lesson could not be prepared.', { next: nextIn(problem) });
  print('', `2  ${lesson.scene}`, `   The pager  ${pager}`, `   Users      ${users}`);
  // Both ways: what the wrong one costs is then what was done, and not what was said.
  for (const { id, ask, answer } of lesson.predict) {
    print(`   ${ask} ${answer}`);
    training.predict(id, answer);
  }
  for (const [index, move] of lesson[way].path.entries()) {
    print('', `${index + 3}  ${moveText(move)}`);
    if ('shell' in move) print(...(await classroom.shell(move.shell)).map((line) => `   ${line}`));
    else await runOf(training, { ...move, set: await readSet(move.set, classroom) });
  }
  await training.finish('recovered');
  const { record, folder, problem: uncounted } = training.getSnapshot();
  if (!record?.score)
    throw new Problem(uncounted[0] ?? 'What came back could not be counted.', {
      next: `novamem-runbook train ${lesson.id} --play ${way}`,
    });
  print('', ...debriefLines(record!), `Record: ${folder}`);
  return verdict(lesson, record!, way);
}

/** What the lines of an error say to do next. */
const nextIn = (lines: readonly string[]): string =>
  lines.flatMap((line) => /^Next: (.*)$/s.exec(line)?.[1] ?? []).at(-1) ?? 'mend what it says, then try again';

async function runOf(training: Training, move: Extract<Move, { run: string }>): Promise<void> {
  const { profile } = training.desk!;
  const backup = move.backup === 'previous' ? await previousOf(profile.backups) : move.backup;
  const run = await prepareRun({
    scenario: move.run,
    profile,
    mode: 'train',
    backup,
    overrides: move.set,
    accept: move.accept as never,
    onFailure: 'stop',
  });
  for (const step of run.getSnapshot().steps) {
    const asked = training.predictionAt(scenarioOf(move.run), step);
    if (asked) training.predictAt(scenarioOf(move.run), step, asked.answer);
  }
  await runHeadless(run, { json: false, confirm: profile.name });
}

/** What the lesson's shell prints for `$(COMMAND)` stands in its place. */
async function readSet(set: Overrides, classroom: Classroom): Promise<Overrides> {
  const said = new Map<unknown, string>();
  for (const value of Object.values(set).flatMap((params) => Object.values(params)))
    if (isForShell(value)) said.set(value, (await classroom.shell(`printf '%s\\n' "${value}"`)).join('\n'));
  return mapValues(set, (value) => said.get(value) ?? value);
}

async function previousOf(roots: readonly string[]): Promise<string> {
  const [, previous] = await listBackupSets(roots);
  if (previous) return previous.folder;
  throw new Problem('The lesson wants the backup before the newest, and there is only one.', {
    next: 'mend the lesson',
  });
}

/** Whether it came out as the lesson says. */
function verdict({ right, wrong }: Lesson, record: TrainingRecord, way: 'right' | 'wrong'): number {
  const total = record.score!.total;
  const [lost, said] = [lossWords(record.loss!), lossWords({ right, wrong }[way].loses)].map(
    (words) => words || 'nothing',
  );
  const isAsSaid = lost === said;
  if (!isAsSaid) print(`The ${way} way of this lesson loses ${lost}, and the lesson says: ${said}.`);
  const hasMarks = way === 'right' ? total === 100 : total < 100 && !isPassed(record);
  if (!hasMarks)
    print(`The ${way} way of this lesson comes to ${total} marks of 100${isPassed(record) ? ', and passes' : ''}.`);
  if (way === 'wrong' && isAsSaid && record.wrongWayCost === undefined)
    print('The wrong way of this lesson is not known again in the journals of its runs.');
  return isAsSaid && hasMarks && (way === 'right' || record.wrongWayCost !== undefined)
    ? EXIT.recovered
    : EXIT.stepFailed;
}
