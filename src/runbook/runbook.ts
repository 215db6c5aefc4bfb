import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type Fault, faultsOf, readYamlFile, type YamlFile } from '../config/yaml-file.js';
import { stepKind, stepKinds } from '../steps/registry.js';
import type { AnyStepKind } from '../steps/step.js';

export const identifier = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,63}$/, 'lower-case letters, digits and dashes, beginning with a letter');
export const sentence = z.string().min(1);

/** What somebody is asked before it is told: `answer` is one of the options. */
export const predictionSchema = z.strictObject({
  ask: sentence,
  options: z.array(sentence).min(2),
  answer: sentence,
  because: sentence,
});

export type PredictionText = z.infer<typeof predictionSchema>;

const teachSchema = z.strictObject({
  predict: predictionSchema.optional(),
  hints: z.array(sentence).optional(),
});

/** What a lesson asks and tells at a step. */
export type Teach = z.infer<typeof teachSchema>;

/** The shape of a runbook file; the parameters of a step belong to its kind. */
const stepSchema = z.strictObject({
  id: identifier,
  uses: z.string(),
  needs: z.array(z.string()).default([]),
  with: z.record(z.string(), z.unknown()).default({}),
  /** Only after these answers: the id of a step that asks, and one or more of its choices. */
  if: z.record(z.string(), z.union([z.string(), z.array(z.string()).min(1)])).optional(),
  why: sentence,
  /** What a lesson asks and tells at this step, and a dry run explains. */
  teach: teachSchema.optional(),
});

const runbookSchema = z.strictObject({
  title: sentence,
  when: sentence,
  outcome: sentence,
  steps: z.array(stepSchema).min(1, 'a runbook has at least one step'),
});

/** One step of a validated runbook. */
export interface RunbookStep {
  id: string;
  kind: AnyStepKind;
  needs: string[];
  /** Validated by the kind. */
  params: unknown;
  why: string;
  /** Runs only when that asking step was answered with one of these. */
  only?: { step: string; choices: string[] };
  teach?: Teach;
}

/** A validated runbook: the answer to one scenario. Steps are in an order in which each comes after what it needs. */
export interface Runbook {
  scenario: string;
  title: string;
  when: string;
  outcome: string;
  steps: RunbookStep[];
  /** SHA-256 of the file's text. */
  hash: string;
}

/** Whether a step that comes before another starts a service, or cannot end without it. */
export function startsBefore(steps: readonly RunbookStep[], id: string, service: string): boolean {
  return steps
    .slice(
      0,
      steps.findIndex((step) => step.id === id),
    )
    .some(
      ({ kind, params }) =>
        (kind.effect === 'destroy' && kind.kind.startsWith(`${service}.`)) ||
        ((kind.kind === 'service.start' || kind.kind === 'service.restart') &&
          (params as { service?: string }).service === service),
    );
}

/** Changes of single parameters, as `--set step.param=value` gives them: step → parameter → value. */
export type Overrides = Record<string, Record<string, unknown>>;

/** Reads a runbook file. What is wrong with it comes back as faults with file, line and column; then there is no runbook. */
export function readRunbook(
  file: string,
  scenario: string,
  overrides: Overrides = {},
): { runbook?: Runbook; faults: Fault[] } {
  const yaml = readYamlFile(file);
  if (yaml.faults.length > 0) return { faults: yaml.faults };
  const parsed = runbookSchema.safeParse(yaml.value);
  if (!parsed.success) return { faults: faultsOf(yaml, parsed.error) };
  const faults: Fault[] = [];
  const { steps: written, ...heading } = parsed.data;
  const ids = written.map((step) => step.id);

  const steps = written.map((step, index): RunbookStep | undefined => {
    const at = (path: (string | number)[], message: string, onKey = false) =>
      faults.push(yaml.faultAt(['steps', index, ...path], message, onKey));
    if (ids.indexOf(step.id) !== index) at(['id'], `the step id "${step.id}" is used twice`);
    for (const [position, need] of step.needs.entries()) {
      if (need === step.id) at(['needs', position], `"${step.id}" needs itself`);
      else if (!ids.includes(need)) at(['needs', position], `needs "${need}", but there is no such step`);
    }
    const kind = stepKind(step.uses);
    if (!kind) {
      at(['uses'], `unknown step kind "${step.uses}"${nearest(step.uses)}`);
      return undefined;
    }
    const checked = kind.params.safeParse(step.with);
    if (!checked.success) {
      faults.push(...faultsOf(yaml, checked.error, ['steps', index, 'with']));
      return undefined;
    }
    const changed = kind.params.safeParse({ ...step.with, ...overrides[step.id] });
    if (!changed.success) {
      faults.push(...changed.error.issues.map((issue) => overrideFault(step.id, kind, issue)));
      return undefined;
    }
    const predict = step.teach?.predict;
    if (predict && !predict.options.includes(predict.answer))
      at(['teach', 'predict', 'answer'], `"${predict.answer}" is none of the options`);
    const conditions = Object.entries(step.if ?? {});
    if (conditions.length > 1) at(['if'], 'one step at most can be asked for', true);
    const [condition] = conditions;
    return {
      id: step.id,
      kind,
      needs: step.needs,
      params: changed.data,
      why: step.why,
      ...(condition ? { only: { step: condition[0], choices: [condition[1]].flat() } } : {}),
      ...(step.teach ? { teach: step.teach } : {}),
    };
  });
  for (const id of Object.keys(overrides)) {
    if (!ids.includes(id))
      faults.push({
        file,
        line: 1,
        column: 1,
        message: `--set names the step "${id}", which this runbook does not have (it has: ${ids.join(', ')})`,
      });
  }
  const faulty = new Set(ids.filter((_, index) => steps[index] === undefined));
  for (const [index, step] of steps.entries()) {
    const asking = steps.find((one) => one && one.id === step?.only?.step);
    // What follows from a fault of the step that asks is none of this one.
    const fault = step?.only && !faulty.has(step.only.step) ? faultOfCondition(step.needs, step.only, asking) : '';
    if (fault) faults.push(yaml.faultAt(['steps', index, 'if'], fault, true));
  }
  if (faults.length > 0) return { faults };
  const ordered = inOrder(
    yaml,
    steps.filter((step) => step !== undefined),
    faults,
  );
  if (faults.length > 0) return { faults };
  return {
    runbook: { scenario, ...heading, steps: ordered, hash: createHash('sha256').update(yaml.text).digest('hex') },
    faults: [],
  };
}

/** Why a step cannot depend on that answer; empty where it can. */
function faultOfCondition(
  needs: readonly string[],
  { step, choices }: NonNullable<RunbookStep['only']>,
  asking: RunbookStep | undefined,
): string {
  const answers = asking?.kind.answers?.(asking.params);
  if (!asking || !answers) return `"${step}" is no step that asks`;
  if (!needs.includes(step)) return `needs must name "${step}", since it is asked there`;
  const strange = choices.filter((choice) => !answers.choices.includes(choice));
  return strange.length > 0
    ? `"${step}" cannot be answered with ${strange.join(', ')}; its answers: ${answers.choices.join(', ')}`
    : '';
}

/** A fault of `--set`, which stands in no file. */
function overrideFault(step: string, kind: AnyStepKind, issue: z.core.$ZodIssue): Fault {
  const known = Object.keys(
    (z.toJSONSchema(kind.params, { io: 'input' }) as { properties?: object }).properties ?? {},
  );
  const message =
    issue.code === 'unrecognized_keys'
      ? `${kind.kind} has no parameter "${issue.keys.join(', ')}"; it has: ${known.join(', ')}`
      : `${issue.path.join('.')}: ${issue.message.replace(/^Invalid input: /, '')}`;
  return { file: `--set ${step}`, line: 0, column: 0, message };
}

function nearest(name: string): string {
  const [family] = name.split('.');
  const near = stepKinds().filter((kind) => kind.kind.startsWith(`${family}.`));
  return `; known: ${(near.length > 0 ? near : stepKinds()).map((kind) => kind.kind).join(', ')}`;
}

/** Each step after what it needs, otherwise as written. A cycle is a fault at its first step. */
function inOrder(yaml: YamlFile, steps: RunbookStep[], faults: Fault[]): RunbookStep[] {
  const ordered: RunbookStep[] = [];
  const waiting = [...steps];
  while (waiting.length > 0) {
    const next = waiting.findIndex((step) => step.needs.every((need) => ordered.some((done) => done.id === need)));
    if (next === -1) {
      const index = steps.indexOf(waiting[0]!);
      faults.push(
        yaml.faultAt(
          ['steps', index, 'needs'],
          `these steps need each other in a circle: ${waiting.map((step) => step.id).join(', ')}`,
          true,
        ),
      );
      return [];
    }
    ordered.push(...waiting.splice(next, 1));
  }
  return ordered;
}

/** The JSON Schema that editors use for runbook files, with the parameters of every step kind. */
export function runbookJsonSchema(): unknown {
  const base = z.toJSONSchema(runbookSchema, { io: 'input' }) as unknown as {
    properties: { steps: { items: Record<string, unknown> } };
  };
  const step = base.properties.steps.items as unknown as { properties: Record<string, unknown> };
  step.properties.uses = { enum: stepKinds().map((kind) => kind.kind) };
  const parameters = stepKinds().map((kind) => {
    const { $schema: _, ...schema } = z.toJSONSchema(kind.params, { io: 'input' }) as Record<string, unknown>;
    return { properties: { uses: { const: kind.kind }, with: schema } };
  });
  return {
    ...base,
    properties: { ...base.properties, steps: { ...base.properties.steps, items: { ...step, oneOf: parameters } } },
  };
}
