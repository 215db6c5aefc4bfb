import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { type Fault, faultsOf, readYamlFile } from '../config/yaml-file.js';
import { Problem } from '../problem.js';
import { isRunbookFile, loadRunbook, scenarioOf, scenarios } from './library.js';
import { identifier, type Overrides, predictionSchema, type Runbook, sentence } from './runbook.js';

const count = z.int().min(0).default(0);

/** What is gone at the end and was there before the disaster: memories in Postgres, and what the other stores lack of those that are left. */
const lossSchema = z.strictObject({
  memories: count,
  /** Memories that are there and say something else than before. */
  changed: count,
  /** Memories that were never this cluster's. */
  strange: count,
  /** Memories without a vector. */
  vectors: count,
  /** Memories without a node in the graph. */
  nodes: count,
  /** Of the graph, beyond those of lost memories. */
  relationships: count,
  /** Vectors, nodes and relationships that are there and are not what they were. */
  altered: count,
  /** Rows of the other tables that people's work is in (projects, members, tokens …), beyond those of lost memories. */
  rows: count,
});
/** So many of each. */
export type LossCounts = z.infer<typeof lossSchema>;

const moveSchema = z.union([
  z.strictObject({
    /** A scenario, or a runbook file beside the lesson. */
    run: sentence,
    /** `previous`: the one before the newest. */
    backup: z.enum(['latest', 'previous', 'none']).default('latest'),
    /** Parameters of its steps: step → parameter → value. A text with `$(COMMAND)` is known only in the lesson: what that prints there. */
    set: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
    /** What the guards must be told to let pass. */
    accept: z.array(sentence).default([]),
    because: sentence.optional(),
  }),
  z.strictObject({ shell: sentence, because: sentence.optional() }),
]);
/** One thing that is done in a lesson: a runbook is run, or a command in the shell. */
export type Move = z.infer<typeof moveSchema>;

/** Whether a value of `set` is to be read in the shell of the lesson. */
export const isForShell = (value: unknown): value is string => typeof value === 'string' && value.includes('$(');

const conditionsSchema = z.strictObject({
  scenario: sentence.optional(),
  backup: z.enum(['latest', 'previous', 'none']).optional(),
  answer: z.record(z.string(), z.string()).optional(),
  skipped: sentence.optional(),
  accepted: sentence.optional(),
});

/** Damage of a team's own, done in the shell of the lesson. */
const ownDisasterSchema = z.strictObject({
  title: sentence,
  /** What has to happen before, in this order, so that there is something to lose. */
  before: z.array(z.enum(['backup', 'base-backup', 'memories'])).default([]),
  shell: sentence,
  /** What was done, a sentence each, as a debrief tells it. */
  did: z.array(sentence).min(1),
  pager: sentence,
  users: sentence,
});
export type OwnDisaster = z.infer<typeof ownDisasterSchema>;

const lessonSchema = z.strictObject({
  title: z
    .string()
    .min(1)
    .max(48)
    .regex(/^[^\p{C}|]+$/u, 'one line of plain text'),
  level: z.enum(['first', 'handbook', 'hard']),
  /** What somebody who knows the answer needs, in minutes. */
  minutes: z.number().min(1).max(240),
  disaster: z.union([sentence, ownDisasterSchema]),
  scene: sentence,
  /** In the place of what the disaster itself says. */
  symptoms: z.strictObject({ pager: sentence.optional(), users: sentence.optional() }).default({}),
  predict: z.array(predictionSchema.extend({ id: identifier })).min(1),
  hints: z.tuple([sentence, sentence, sentence]),
  right: z.strictObject({ path: z.array(moveSchema).min(1), loses: lossSchema.prefault({}) }),
  wrong: z.strictObject({ path: z.array(moveSchema).min(1), loses: lossSchema.prefault({}), costs: sentence }),
  /** Choices that a debrief names, and why: all conditions of one must hold. */
  unsafe: z.array(z.strictObject({ when: conditionsSchema, because: sentence })).default([]),
  /** What is worth to be remembered, a sentence each. */
  remember: z.array(sentence).min(1),
});

/** A validated lesson; runbooks of its own are named by their whole paths. */
export interface Lesson extends z.infer<typeof lessonSchema> {
  id: string;
  file: string;
  /** SHA-256 of the file's text, and of the runbooks beside it that it uses. */
  hash: string;
}
export type Prediction = Lesson['predict'][number];
export type UnsafeChoice = Lesson['unsafe'][number];

/** What a lesson may name beside runbooks. */
export interface Known {
  disasters: readonly string[];
  /** What a guard may be told to let pass. */
  differences: readonly string[];
}

/** Reads a lesson file. What is wrong with it comes back as faults with file, line and column; then there is no lesson. */
export function readLesson(file: string, known: Known): { lesson?: Lesson; faults: Fault[] } {
  const yaml = readYamlFile(file);
  if (yaml.faults.length > 0) return { faults: yaml.faults };
  const parsed = lessonSchema.safeParse(yaml.value);
  if (!parsed.success) return { faults: faultsOf(yaml, parsed.error) };
  const lesson = withOwnRunbooks(parsed.data, dirname(file));
  const faults: Fault[] = [];
  const at = (path: (string | number)[], message: string) => faults.push(yaml.faultAt(path, message));
  if (typeof lesson.disaster === 'string' && !known.disasters.includes(lesson.disaster))
    at(['disaster'], `there is no disaster "${lesson.disaster}"; known: ${known.disasters.join(', ')}`);
  const ids = lesson.predict.map((one) => one.id);
  for (const [index, { id, options, answer }] of lesson.predict.entries()) {
    if (ids.indexOf(id) !== index) at(['predict', index, 'id'], `the id "${id}" is used twice`);
    if (new Set(options).size < options.length) at(['predict', index, 'options'], 'an option is there twice');
    if (!options.includes(answer)) at(['predict', index, 'answer'], `"${answer}" is none of the options`);
  }
  for (const way of ['right', 'wrong'] as const)
    for (const [index, move] of lesson[way].path.entries())
      for (const { path, message } of faultsOfMove(move, known)) at([way, 'path', index, ...path], message);
  if (!LOSSES.some((kind) => lesson.wrong.loses[kind] > lesson.right.loses[kind]))
    at(['wrong', 'loses'], 'the wrong way loses nothing beyond what the right one loses: nobody could learn from it');
  const books = booksOf(lesson);
  const isWhole = books.length === namesIn(lesson).length;
  for (const [index, { when }] of lesson.unsafe.entries())
    for (const { path, message } of faultsOfConditions(when, isWhole ? books : undefined, known))
      at(['unsafe', index, 'when', ...path], message);
  if (faults.length > 0) return { faults };
  const hash = createHash('sha256').update(yaml.text);
  for (const own of ownRunbooks(lesson)) hash.update(loadRunbook(own).hash);
  return { lesson: { ...lesson, id: scenarioOf(file), file, hash: hash.digest('hex') }, faults };
}

const LOSSES = lossSchema.keyof().options;

/** A runbook beside the lesson is found from wherever the program is started, and its runs go by its name. */
function withOwnRunbooks(lesson: z.infer<typeof lessonSchema>, folder: string): z.infer<typeof lessonSchema> {
  const found = (move: Move): Move =>
    'run' in move && isRunbookFile(move.run) ? { ...move, run: resolve(folder, move.run) } : move;
  const { right, wrong, unsafe } = lesson;
  return {
    ...lesson,
    right: { ...right, path: right.path.map(found) },
    wrong: { ...wrong, path: wrong.path.map(found) },
    unsafe: unsafe.map(({ when: { scenario, ...when }, because }) => ({
      when: scenario === undefined ? when : { ...when, scenario: scenarioOf(scenario) },
      because,
    })),
  };
}

type Misplaced = { path: string[]; message: string };

function faultsOfMove(move: Move, { differences }: Known): Misplaced[] {
  if ('shell' in move) return [];
  const { run, set, accept } = move;
  const faults: Misplaced[] = accept
    .filter((one) => !differences.includes(one))
    .map(() => ({ path: ['accept'], message: `one of ${differences.join(', ')} is needed` }));
  const unknown = faultOfRun(run);
  if (unknown !== '') return [...faults, { path: ['run'], message: unknown }];
  const given = mapValues(set, (value) => (isForShell(value) ? undefined : value));
  const refused = refusedBy(() => loadRunbook(run, given));
  return refused === '' ? faults : [...faults, { path: ['set'], message: refused }];
}

/** Why nothing can be run by that name; empty where something can. */
function faultOfRun(run: string): string {
  if (!isRunbookFile(run)) return scenarios().includes(run) ? '' : `there is no scenario "${run}"`;
  return scenarios().includes(scenarioOf(run))
    ? `the program has a runbook "${scenarioOf(run)}" itself: one of your own needs another name`
    : refusedBy(() => loadRunbook(run));
}

/** What a Problem says, in one line; empty where there is none. */
function refusedBy(act: () => unknown): string {
  try {
    act();
    return '';
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return error.message.replace(/\s+/g, ' ');
  }
}

/** `books`: the runbooks of both ways; undefined where one is faulty, since what follows from that is no fault of a condition. */
function faultsOfConditions(
  when: UnsafeChoice['when'],
  books: readonly Runbook[] | undefined,
  known: Known,
): Misplaced[] {
  if (Object.keys(when).length === 0) return [{ path: [], message: 'at least one condition is needed' }];
  const { scenario, answer = {}, skipped, accepted } = when;
  const faults: Misplaced[] = [];
  const meant = books && meantBy(scenario, books);
  if (books && !meant) faults.push({ path: ['scenario'], message: `there is no scenario "${scenario}"` });
  const stepsCalled = (id: string) => (meant ?? []).flatMap((book) => book.steps.filter((step) => step.id === id));
  for (const step of meant ? [...Object.keys(answer), ...(skipped === undefined ? [] : [skipped])] : [])
    if (stepsCalled(step).length === 0)
      faults.push({ path: [], message: `none of its runbooks has a step "${step}"` });
  for (const [step, given] of Object.entries(answer)) {
    const asking = stepsCalled(step).flatMap(({ kind, params }) => kind.answers?.(params) ?? []);
    const choices = asking.flatMap((one) => one.choices);
    // Free text has no choices: any may be given.
    const isAnswer = choices.includes(given) || asking.some((one) => one.choices.length === 0);
    if (stepsCalled(step).length > 0 && !isAnswer)
      faults.push({
        path: ['answer', step],
        message:
          asking.length === 0
            ? `"${step}" is no step that asks`
            : `"${step}" cannot be answered with ${given}; its answers: ${choices.join(', ')}`,
      });
  }
  if (accepted !== undefined && !known.differences.includes(accepted))
    faults.push({ path: ['accepted'], message: `one of ${known.differences.join(', ')} is needed` });
  return faults;
}

/** The runbooks that a choice can be made in; undefined where there is none of that name. */
function meantBy(scenario: string | undefined, books: readonly Runbook[]): readonly Runbook[] | undefined {
  if (scenario === undefined) return books;
  const own = books.find((book) => book.scenario === scenario);
  if (own) return [own];
  return scenarios().includes(scenario) ? [loadRunbook(scenario)] : undefined;
}

/** The same steps and parameters, each with the value that is made of it; one that becomes undefined is left out. */
export function mapValues(set: Overrides, change: (value: unknown) => unknown): Overrides {
  const changed = (params: Record<string, unknown>) =>
    Object.fromEntries(
      Object.entries(params).flatMap(([name, value]) => {
        const now = change(value);
        return now === undefined ? [] : [[name, now]];
      }),
    );
  return Object.fromEntries(Object.entries(set).map(([step, params]) => [step, changed(params)]));
}

type Ways = Pick<Lesson, 'right' | 'wrong'>;

const namesIn = ({ right, wrong }: Ways): string[] => [
  ...new Set([...right.path, ...wrong.path].flatMap((move) => ('run' in move ? [move.run] : []))),
];

/** The runbooks that both of its ways use; one that is faulty is left out. */
const booksOf = (ways: Ways): Runbook[] =>
  namesIn(ways)
    .filter((name) => faultOfRun(name) === '')
    .map((name) => loadRunbook(name));

/** The files of the runbooks beside a lesson that it uses. */
export const ownRunbooks = (ways: Ways): string[] => namesIn(ways).filter(isRunbookFile);

/** The JSON Schema that editors use for lesson files. */
export const lessonJsonSchema = (): unknown => z.toJSONSchema(lessonSchema, { io: 'input' });
