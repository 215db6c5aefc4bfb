import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readRecord } from './registry.js';

const VARIABLE = 'NOVAMEM_RUNBOOK_LESSON';

/** The lesson in whose shell this program was started. */
export interface LessonShell {
  cluster: string;
  /** Its questions are answered: before that nothing may tell which runbook fits. */
  predicted: boolean;
}

/** What makes a shell one of a lesson: whatever it starts knows the cluster of the lesson, and no other. */
export const lessonVariables = (cluster: string): Record<string, string> => ({ [VARIABLE]: cluster });

export function lessonShell(): LessonShell | undefined {
  const cluster = process.env[VARIABLE];
  if (!cluster) return undefined;
  const folder = readRecord(cluster)?.folder;
  return { cluster, predicted: folder === undefined || existsSync(markIn(folder)) };
}

/** The questions of the lesson are answered. */
export function notePredicted(cluster: string): void {
  const folder = readRecord(cluster)?.folder;
  if (folder !== undefined) writeFileSync(markIn(folder), '');
}

const markIn = (folder: string): string => join(folder, 'predicted');
