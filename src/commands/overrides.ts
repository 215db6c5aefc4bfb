import { parse } from 'yaml';
import { Problem } from '../problem.js';
import type { Overrides } from '../runbook/runbook.js';

/** Reads `--set step.param=value` arguments; a value is read as YAML, so `true`, `4` and `[a, b]` mean what they look like. */
export function readOverrides(given: readonly string[]): Overrides {
  const overrides: Overrides = {};
  for (const text of given) {
    const match = /^([^.=]+)\.([^.=]+)=(.*)$/s.exec(text);
    if (!match)
      throw new Problem(`--set ${text} is not of the form step.param=value.`, {
        next: 'for example: --set restore-postgres.strategy=swap',
      });
    const [, step, param, value] = match as unknown as [string, string, string, string];
    overrides[step] = { ...overrides[step], [param]: parse(value) as unknown };
  }
  return overrides;
}
