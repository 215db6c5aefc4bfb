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

/** Whether a process was started since this machine was; on another machine that can never be. */
export function isOfThisBoot({ started }: ProcessMark): boolean {
  return started.startsWith(`${bootId()}/`);
}

const bootId = () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

function startOf(pid: number): string {
  try {
    const { state, started } = statOf(pid);
    if (state === 'Z') return 'zombie';
    return `${bootId()}/${started}`;
  } catch {
    return '';
  }
}

function statOf(pid: number) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // Fields after the program's name, which may itself hold spaces and parentheses: state is 3, group 5, terminal 7, start time 22.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0], group: fields[2], terminal: fields[4], started: fields[19] };
}

/**
 * Servers that work in a folder or below it, also when it was removed under them; none where the system does not tell (not
 * Linux). What has a terminal is a person's, who only stands there.
 */
export function serversIn(folder: string): ProcessMark[] {
  const pids = readNames('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    try {
      if (statOf(Number(pid)).terminal !== '0') return [];
      const at = readlinkSync(`/proc/${pid}/cwd`).replace(/ \(deleted\)$/, '');
      return at === folder || at.startsWith(`${folder}/`) ? [markOf(Number(pid))] : [];
    } catch {
      return [];
    }
  });
}

/** A process and what it was called with. */
export interface KnownProcess extends ProcessMark {
  command: string;
  group: number;
}

/** Processes that have a variable with this value in their environment; none where the system does not tell (not Linux). */
export function processesWith(variable: string, value: string): KnownProcess[] {
  const pids = readNames('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids.flatMap((pid) => {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      const { state, group } = statOf(Number(pid));
      if (state === 'Z' || !environment.includes(`${variable}=${value}`)) return [];
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim();
      return [{ ...markOf(Number(pid)), command, group: Number(group) }];
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
