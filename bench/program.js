import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/**
 * A part of the product in a process of its own (bench/programs/NAME.js), so that its memory is its own and its start is not measured.
 * It says `ready` and waits; `go` has it begin, and resolves with what it says in the end.
 */
export async function readyProgram(name, ...args) {
  const child = fork(fileURLToPath(new URL(`programs/${name}.js`, import.meta.url)), args);
  await next(child, name);
  return {
    child,
    go: async () => {
      child.send('go');
      return next(child, name);
    },
  };
}

async function next(child, name) {
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`${name} ended with ${code ?? signal} before it said anything`);
  });
  ended.catch(() => {});
  const [said] = await Promise.race([once(child, 'message'), ended]);
  return said;
}

/** The other side: says `ready`, does the work when told to, and says what came of it, with the most memory it ever took and the time of the processor; then it ends. */
export function onGo(work) {
  process.send('ready');
  process.once('message', async () => {
    const before = process.cpuUsage();
    const figures = await work();
    const { user, system } = process.cpuUsage(before);
    const own = { peakBytes: process.resourceUsage().maxRSS * 1024, cpuMs: (user + system) / 1000 };
    process.send({ ...figures, ...own }, () => process.exit(0));
  });
}

export const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
