/** A program to run. `environment` is added to this process's own; `secretEnvironment` too, and is never shown. */
export interface Command {
  file: string;
  args: string[];
  environment?: Record<string, string>;
  secretEnvironment?: Record<string, string>;
  /** How a shell would fetch the values of `secretEnvironment`: what is shown in their place, in double quotes. */
  secretWords?: Record<string, string>;
  folder?: string;
  /** Its standard input; nothing when absent. */
  input?: string;
  /** The name under which the program is called, where it does something else under each. */
  calledAs?: string;
  /** Whom it runs as, where this program runs as root; anybody else can only run it as itself. */
  user?: User;
  /** It reads what it is given while it runs (`feed`), after `input`. */
  fed?: true;
  /** Its standard input stays open until it has ended: the end of that is how it learns that nobody waits for it any more. */
  attended?: true;
  /** What a person would paste instead, where it runs elsewhere: the same, without what only tells how this program waits for it. */
  shown?: string;
}

export interface User {
  uid: number;
  gid: number;
}

const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;

/** One word as a POSIX shell reads it back. */
export function shellWord(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The command as a person can paste it into a shell; a secret variable is shown as one to be set: `PGPASSWORD=…`. */
export function commandText(command: Command): string {
  if (command.shown !== undefined) return command.shown;
  const assignments = [
    ...Object.entries(command.environment ?? {}).map(([name, value]) => `${name}=${shellWord(value)}`),
    ...Object.keys(command.secretEnvironment ?? {}).map(
      (name) => `${name}=${command.secretWords?.[name] ? `"${command.secretWords[name]}"` : '…'}`,
    ),
  ];
  const { user } = command;
  const as =
    user && process.getuid?.() === 0
      ? [
          'setpriv',
          `--reuid=${user.uid}`,
          `--regid=${user.gid}`,
          '--clear-groups',
          ...(assignments.length > 0 ? ['env'] : []),
        ]
      : [];
  return [...as, ...assignments, ...[command.file, ...command.args].map(shellWord)].join(' ');
}

/** Writing a text as a person can paste it, on one line. */
export const textSaid = (path: string, text: string): string =>
  `printf %b ${shellWord(text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n'))} > ${shellWord(path)}`;

/** Names of a folder's top level as `tar` leaves them out. */
export const leavingOut = (names: readonly string[]): string[] => names.map((name) => `--exclude=./${name}`);

/** Moving some names of a folder into another as a person can paste it. */
export const movingText = (from: string, to: string, names: readonly string[]): string =>
  `(cd ${shellWord(from)} && mv ${[...names.map((name) => `./${name}`), `${to}/`].map(shellWord).join(' ')})`;

/** Copying a folder on this machine as a person can paste it. */
export function copyingText(from: string, to: string, without: readonly string[] = []): string {
  if (without.length === 0) return commandText({ file: 'cp', args: ['-aLT', '--reflink=auto', from, to] });
  const packed = commandText({ file: 'tar', args: ['-C', from, ...leavingOut(without), '-chf', '-', '.'] });
  return `mkdir -p ${shellWord(to)} && ${packed} | ${commandText({ file: 'tar', args: ['-C', to, '-xpf', '-'] })}`;
}
