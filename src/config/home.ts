import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Problem } from '../problem.js';
import { messageOf } from '../words.js';

/** The folder of everything this program keeps: `$NOVAMEM_RUNBOOK_HOME`, else `novamem-runbook` in the XDG state folder. */
export function homeFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const chosen = environment.NOVAMEM_RUNBOOK_HOME;
  if (chosen) return chosen;
  const state = environment.XDG_STATE_HOME || join(homedir(), '.local', 'state');
  return join(state, 'novamem-runbook');
}

/** A folder below the home folder, made when absent, readable by its owner only. */
export function homeSubfolder(...names: string[]): string {
  const path = join(homeFolder(), ...names);
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Problem(`The folder ${path} cannot be made: ${messageOf(error)}.`, {
      next: 'set NOVAMEM_RUNBOOK_HOME to a folder that can be written',
    });
  }
  return path;
}
