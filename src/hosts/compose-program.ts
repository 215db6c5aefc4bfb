// Compose came as a program of its own before it was a part of docker; which one a machine has is seen by what docker says of it.

const STANDALONE = 'docker-compose';
/** Of the machines that were asked, by title, which one they have. */
const found = new Map<string, 'plugin' | 'standalone'>();

/** Whether it is known by which name Compose is called there. */
export const isComposeKnown = (machine: string): boolean => found.has(machine);

export const WITHOUT_COMPOSE =
  /unknown (docker )?command: |is not a docker command|unknown flag: --(project-directory|file)/;
const NOT_THERE = /ENOENT|docker-compose['’"]?: (command not found|not found|No such file or directory)/i;

/**
 * The words that ask Compose for something of a project, on the machine of that title: `project` is the folder of the Compose file, or
 * that file. The program of its own looks for its file where it is called, whatever folder it is told.
 */
export function composeWords(machine: string, project: string): [file: string, ...args: string[]] {
  const isFile = /\.ya?ml$/i.test(project);
  if (found.get(machine) !== 'standalone')
    return ['docker', 'compose', ...(isFile ? ['--file', project] : ['--project-directory', project])];
  return isFile ? [STANDALONE, '--file', project] : ['env', '-C', project, STANDALONE];
}

/**
 * Asks, and once more under the other name where docker says that it has no `compose`. `saidOf`: the words with which it has failed, or
 * nothing. An answer that neither name has is the first one.
 */
export async function byEitherName<A>(
  machine: string,
  ask: () => Promise<A>,
  saidOf: (answer: A) => string,
): Promise<A> {
  const known = found.get(machine);
  const first = await ask();
  const said = saidOf(first);
  if (!WITHOUT_COMPOSE.test(said) || known === 'standalone') {
    if (said === '') found.set(machine, known ?? 'plugin');
    return first;
  }
  found.set(machine, 'standalone');
  const second = await ask();
  if (!NOT_THERE.test(saidOf(second))) return second;
  found.delete(machine);
  return first;
}
