import { readdirSync, readFileSync } from 'node:fs';
import { waitFor } from '../../src/hosts/waiting.js';

/** Asks until the answer is truthy, and fails with `what` when it never is. */
export async function eventually<T>(
  what: string,
  ask: () => T | Promise<T>,
  timeoutMs = 60_000,
): Promise<NonNullable<T>> {
  const answer = await waitFor(async () => (await ask()) || undefined, { timeoutMs, slowest: 100 });
  if (answer === undefined) throw new Error(`never within ${timeoutMs} ms: ${what}`);
  return answer as NonNullable<T>;
}

/** One process of this machine, as /proc tells. */
interface Seen {
  pid: number;
  parent: number;
  command: string;
}

/** Every process that runs now; zombies do not. */
export function processes(): Seen[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        return state === 'Z' ? [] : [{ pid: Number(name), parent: Number(parent), command }];
      } catch {
        return [];
      }
    });
}

export const isRunning = (pid: number) => processes().some((one) => one.pid === pid);

/** Kills these processes at once. That one has ended by itself meanwhile is no error. */
export function killAll(pids: readonly number[]): void {
  for (const pid of pids)
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
}

/** These processes and all that descend from them. */
export function familyOf(pids: readonly number[]): number[] {
  const all = processes();
  const family = new Set(pids);
  for (let size = 0; size !== family.size; ) {
    size = family.size;
    for (const one of all) if (family.has(one.parent)) family.add(one.pid);
  }
  return [...family];
}
