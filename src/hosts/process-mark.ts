import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** One process, told apart from a later one that was given the same pid. */
export interface ProcessMark {
  pid: number;
  /** When it started, in clock ticks since boot, with the boot's id; empty where the system does not tell (not Linux). */
  started: string;
}

/** The mark of a process that runs now. */
export function markOf(pid: number): ProcessMark {
  return { pid, started: startOf(pid) };
}

/** Whether exactly this process still runs. A zombie does not. */
export function isAlive(mark: ProcessMark): boolean {
  try {
    process.kill(mark.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return startOf(mark.pid) === mark.started;
}

function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Fields after the program's name, which may itself hold spaces and parentheses: state is 3, start time is 22.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z') return 'zombie';
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${fields[19]}`;
  } catch {
    return '';
  }
}

/** Processes that work in a folder or below it, also when it was removed under them; none where the system does not tell (not Linux). */
export function processesIn(folder: string): ProcessMark[] {
  const pids = readNames('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    try {
      const at = readlinkSync(`/proc/${pid}/cwd`).replace(/ \(deleted\)$/, '');
      return at === folder || at.startsWith(`${folder}/`) ? [markOf(Number(pid))] : [];
    } catch {
      return [];
    }
  });
}

function readNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
