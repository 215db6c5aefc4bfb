import { EXIT } from '../problem.js';
import { print } from './print.js';

/** Says of a profile that was just kept what it is good for now; answers the exit code. */
export function told(name: string): number {
  print(
    `The profile ${name} is remembered, and used when none is named.`,
    `Next: novamem-runbook doctor --profile ${name}`,
  );
  return EXIT.recovered;
}
