import { freeBytes } from '../hosts/files.js';
import { sizeOf } from '../words.js';
import type { Finding, StepContext } from './step.js';

/**
 * A warning where a safety copy may not fit beside what this program keeps. `bytes`: what it takes at most. No more than a warning:
 * a copy that is not whole stops its step before anything is replaced.
 */
export async function safetyRoomFindings(
  { workFolder }: Pick<StepContext, 'workFolder'>,
  of: string,
  bytes: number,
): Promise<Finding[]> {
  const free = await freeBytes(workFolder);
  if (free > bytes) return [];
  return [
    {
      level: 'warning',
      message: `the safety copy of ${of} may take ${sizeOf(bytes)}, and ${sizeOf(free)} are free in ${workFolder}: if it does not fit, nothing is replaced`,
      next: 'free some there, or keep what this program keeps on a larger disk: NOVAMEM_RUNBOOK_HOME=/a/folder',
    },
  ];
}
