import { spawnSync } from 'node:child_process';

/** Why something cannot be tried on this machine: empty where the command ends well. */
export function whyNot(file: string, ...args: string[]): string {
  const { error, status, stderr } = spawnSync(file, args, { encoding: 'utf8', timeout: 20_000 });
  if (error) return `${file}: ${(error as NodeJS.ErrnoException).code}`;
  return status === 0 ? '' : `${file} ended with ${status}: ${stderr.trim().split('\n')[0]}`;
}
