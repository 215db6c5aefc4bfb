import { parse } from 'yaml';
import { Problem } from '../problem.js';
import type { Overrides } from '../runbook/runbook.js';
import { messageOf } from '../words.js';

/** Reads `--set step.param=value` arguments; a value is read as YAML, so `true`, `4` and `[a, b]` mean what they look like. */
export function readOverrides(given: readonly string[]): Overrides {
  // Without a prototype: a step called __proto__ is none, and must be told so.
  const overrides: Overrides = Object.create(null);
  for (const text of given) {
    const match = /^([^.=]+)\.([^.=]+)=(.*)$/s.exec(text);
    if (!match)
      throw new Problem(`--set ${text} is not of the form step.param=value.`, {
        next: 'for example: --set restore-postgres.strategy=swap',
      });
    const [, step, param, value] = match as unknown as [string, string, string, string];
    overrides[step] = { ...overrides[step], [param]: readValue(value, text) };
  }
  return overrides;
}

function readValue(value: string, given: string): unknown {
  try {
    return parse(value) as unknown;
  } catch (error) {
    throw new Problem(`--set ${given}: the value cannot be read: ${messageOf(error).split('\n')[0]}`, {
      next: 'put a text with signs of its own into quotes',
    });
  }
}
