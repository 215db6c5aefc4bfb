import { rmSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';

const PREFIX = 'novamem-runbook';
const own = new Set<string>();

/**
 * A new folder for what this process fetches, below TMPDIR, for this user only. It is gone when the process ends. `what`: a word
 * for its name.
 */
export async function ownTempFolder(what: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `${PREFIX}-${what}-${hostname()}-${process.pid}-`));
  if (own.size === 0) process.once('exit', removeOwn);
  own.add(folder);
  return folder;
}

function removeOwn(): void {
  for (const folder of own) rmSync(folder, { recursive: true, force: true });
}

/** Removes such folders of processes of this machine that were killed; answers their paths. */
export async function removeAbandoned(): Promise<string[]> {
  const removed: string[] = [];
  for (const name of await readdir(tmpdir()).catch(() => [] as string[])) {
    const [, host, pid] = new RegExp(`^${PREFIX}-[a-z]+-(.*)-(\\d+)-[^-]{6}$`).exec(name) ?? [];
    // Processes of another container, which may have the same TMPDIR, cannot be seen from here.
    if (pid === undefined || host !== hostname() || isThere(Number(pid))) continue;
    const folder = join(tmpdir(), name);
    await rm(folder, { recursive: true, force: true }).then(
      () => removed.push(folder),
      // Another user's is theirs to remove.
      () => {},
    );
  }
  return removed;
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
