import type { Profile } from '../config/profile.js';
import { findProfile, listProfiles } from '../config/profiles.js';
import type { Mode } from '../engine/journal.js';
import type { RecordedRun } from '../engine/runs.js';
import { EXIT, Problem } from '../problem.js';
import { reportOf } from '../reports/run-report.js';
import { lessonShell } from '../sandbox/lesson-shell.js';
import { DEFAULT_SANDBOX, sandboxNames, sandboxProfile } from '../sandbox/sandbox.js';

/** The cluster that a recorded run has worked on, or the one that is named instead. */
export function clusterOf({ events }: RecordedRun, named: string | undefined): Profile {
  const { profile, drillOf } = reportOf(events).started;
  if (named === undefined && drillOf && !sandboxNames().includes(profile))
    throw new Problem(
      `That run was a drill: its throw-away cluster ${profile} was taken down, and nothing is left of it.`,
      {
        next: `novamem-runbook drill --profile ${drillOf}, or name another run: novamem-runbook runs list`,
      },
    );
  return findCluster(named ?? profile);
}

/**
 * The profile to work on: the one that is named (a file, a remembered name or a sandbox); without a name the remembered
 * current one, else the sandbox. In the shell of a lesson there is only the cluster of the lesson.
 */
export function findCluster(named: string | undefined): Profile {
  const lesson = lessonShell();
  if (lesson) return clusterOfLesson(lesson.cluster, named);
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
        next: `name one with --profile FILE.yaml, or ${sandbox ? `--profile ${sandbox}` : 'try it out: novamem-runbook sandbox up, or learn it: novamem-runbook train'}`,
      },
    );
  }
  if (named === DEFAULT_SANDBOX || sandboxNames().includes(named)) return sandboxProfile(named);
  return findProfile(named);
}

/** What a run that is begun here is for: in the shell of a lesson it is part of the lesson. */
export const modeHere = (): Mode => (lessonShell() ? 'train' : 'live');

function clusterOfLesson(cluster: string, named: string | undefined): Profile {
  if (named === undefined || named === cluster) return sandboxProfile(cluster);
  throw new Problem(
    `This is the shell of a lesson, whose cluster is ${cluster}: from here no other is worked on, so not "${named}" either.`,
    {
      exitCode: EXIT.refused,
      next: `leave --profile out, or leave this shell for your own clusters: exit`,
    },
  );
}
