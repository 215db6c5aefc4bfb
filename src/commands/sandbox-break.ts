import { randomInt } from 'node:crypto';
import { takeBackup, WITH_BASE_BACKUP } from '../engine/take-backup.js';
import { EXIT } from '../problem.js';
import { DISASTERS, disasterBySeed, findDisaster } from '../sandbox/disasters.js';
import { DEFAULT_SANDBOX } from '../sandbox/sandbox.js';
import { strike } from '../sandbox/strike.js';
import { columns, print } from './print.js';

export interface BreakOptions {
  name?: string;
  list?: boolean;
  seed?: string;
  reveal?: boolean;
}

/**
 * `sandbox break DISASTER`: real damage to a sandbox, with the backups and the writing before it that it needs. Without a name one is
 * chosen, the same for the same seed, and only what a pager and users would say is told.
 */
export async function sandboxBreakCommand(wanted: string | undefined, options: BreakOptions): Promise<number> {
  if (options.list) return list();
  const { name = DEFAULT_SANDBOX, seed = String(randomInt(1_000_000)) } = options;
  const disaster = wanted === undefined ? disasterBySeed(seed) : findDisaster(wanted);
  const secret = wanted === undefined && !options.reveal;
  if (wanted === undefined && options.reveal) {
    print(`With the seed ${seed} it is ${disaster.id}: ${disaster.title}.`, `Scenario: ${disaster.scenario}`);
    return EXIT.recovered;
  }
  const done = await strike(name, disaster, (profile, { base }) => takeBackup(profile, base ? WITH_BASE_BACKUP : {}));
  print(
    ...(secret
      ? [`Something has happened to ${name}. (seed ${seed})`]
      : [`${disaster.title}:`, ...done.map((line) => `  ${line}`)]),
    `The pager  ${disaster.pager}`,
    `Users      ${disaster.users}`,
    `Next: novamem-runbook --profile ${name}${secret ? `; when you know what it was: novamem-runbook sandbox break --seed ${seed} --reveal` : ''}`,
  );
  return EXIT.recovered;
}

function list(): number {
  print(
    ...columns([
      ['DISASTER', 'WHAT HAPPENS'],
      ...DISASTERS.map(({ id, title, impossible }) => [
        id,
        title + (impossible?.() ? ` (not here: ${impossible()})` : ''),
      ]),
    ]),
  );
  return EXIT.recovered;
}
