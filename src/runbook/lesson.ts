import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { z } from 'zod';
import { type Fault, faultsOf, readYamlFile } from '../config/yaml-file.js';
import { Problem } from '../problem.js';
import { loadRunbook, scenarios } from './library.js';
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

const lessonSchema = z.strictObject({
  title: z
    .string()
    .min(1)
    .max(48)
    .regex(/^[^\p{C}|]+$/u, 'one line of plain text'),
  level: z.enum(['first', 'handbook', 'hard']),
  /** What somebody who knows the answer needs, in minutes. */
  minutes: z.number().min(1).max(240),
  disaster: sentence,
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

/** A validated lesson. */
export interface Lesson extends z.infer<typeof lessonSchema> {
  id: string;
  file: string;
  /** SHA-256 of the file's text. */
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
  const lesson = parsed.data;
  const faults: Fault[] = [];
  const at = (path: (string | number)[], message: string) => faults.push(yaml.faultAt(path, message));
  if (!known.disasters.includes(lesson.disaster))
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
  const books = booksOf(lesson);
  for (const [index, { when }] of lesson.unsafe.entries()) {
    const place = (...path: string[]) => ['unsafe', index, 'when', ...path];
    if (Object.keys(when).length === 0) at(place(), 'at least one condition is needed');
    if (when.scenario !== undefined && !scenarios().includes(when.scenario))
      at(place('scenario'), `there is no scenario "${when.scenario}"`);
    const ofThat =
      when.scenario === undefined || !scenarios().includes(when.scenario) ? [] : [loadRunbook(when.scenario)];
    const steps = [...books, ...ofThat].flatMap((book) => book.steps.map((step) => step.id));
    for (const step of [...Object.keys(when.answer ?? {}), ...(when.skipped === undefined ? [] : [when.skipped])])
      if (!steps.includes(step)) at(place(), `none of its runbooks has a step "${step}"`);
    if (when.accepted !== undefined && !known.differences.includes(when.accepted))
      at(place('accepted'), `one of ${known.differences.join(', ')} is needed`);
  }
  if (faults.length > 0) return { faults };
  const hash = createHash('sha256').update(yaml.text).digest('hex');
  return { lesson: { ...lesson, id: basename(file).replace(/\.ya?ml$/, ''), file, hash }, faults };
}

function faultsOfMove(move: Move, { differences }: Known): { path: string[]; message: string }[] {
  if ('shell' in move) return [];
  const faults: { path: string[]; message: string }[] = move.accept
    .filter((one) => !differences.includes(one))
    .map(() => ({ path: ['accept'], message: `one of ${differences.join(', ')} is needed` }));
  if (!scenarios().includes(move.run))
    return [...faults, { path: ['run'], message: `there is no scenario "${move.run}"` }];
  try {
    loadRunbook(
      move.run,
      mapValues(move.set, (value) => (isForShell(value) ? undefined : value)),
    );
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    faults.push({ path: ['set'], message: error.message.replace(/\s+/g, ' ') });
  }
  return faults;
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

/** The runbooks that both of its ways use. */
function booksOf({ right, wrong }: Pick<Lesson, 'right' | 'wrong'>): Runbook[] {
  const names = [...right.path, ...wrong.path].flatMap((move) => ('run' in move ? [move.run] : []));
  return [...new Set(names)].filter((name) => scenarios().includes(name)).map((name) => loadRunbook(name));
}

/** The JSON Schema that editors use for lesson files. */
export const lessonJsonSchema = (): unknown => z.toJSONSchema(lessonSchema, { io: 'input' });
