import type { Profile } from '../config/profile.js';
import { findProfile, listProfiles } from '../config/profiles.js';
import { Problem } from '../problem.js';
import { DEFAULT_SANDBOX, sandboxNames, sandboxProfile } from '../sandbox/sandbox.js';

/**
 * The profile to work on: the one that is named (a file, a remembered name or a sandbox); without a name the remembered
 * current one, else the sandbox.
 */
export function findCluster(named: string | undefined): Profile {
  if (named === undefined) {
    const { current } = listProfiles();
    if (current !== undefined) return findProfile(current);
    const sandboxes = sandboxNames();
    if (sandboxes.includes(DEFAULT_SANDBOX)) return sandboxProfile();
    const [sandbox] = sandboxes;
    throw new Problem(
      sandbox
        ? `No cluster was named, and none is remembered. There is a sandbox: ${sandboxes.join(', ')}.`
        : 'No cluster was named, none is remembered, and no sandbox is up.',
      {
        next: `name one with --profile FILE.yaml, or ${sandbox ? `--profile ${sandbox}` : 'try it out: novamem-runbook sandbox up'}`,
      },
    );
  }
  if (named === DEFAULT_SANDBOX || sandboxNames().includes(named)) return sandboxProfile(named);
  return findProfile(named);
}
