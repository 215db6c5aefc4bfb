import { lstatSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostSettings } from '../../config/profile.js';
import { type Command, shellWord } from '../command.js';
import { composeWords } from '../compose-program.js';
import { guarded, secretsBefore, withoutSecrets } from './guard.js';

/** One way to have a command run elsewhere: the words before it. */
export interface Way {
  title: string;
  file: string;
  args: readonly string[];
  /** Those of `args` that a person would type. */
  shown: readonly string[];
  /** How the command follows: as one line that a shell there reads, or word by word. */
  follows: 'line' | 'words';
}

export type ComposeSettings = Extract<HostSettings, { compose: string }>;
export type KubernetesSettings = Extract<HostSettings, { kubernetes: string }>;

/** Seconds after which a silent connection is given up, three times in a row. */
const SILENCE = 5;

/** One connection for all that is done there, for a minute longer than it is needed; without one each command makes its own. */
function sharing(): string[] {
  const folder = join(tmpdir(), `novamem-runbook-ssh-${process.getuid?.() ?? 0}`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { uid, mode } = lstatSync(folder);
    const LONGEST = 50;
    if (uid !== process.getuid?.() || (mode & 0o077) !== 0 || folder.length > LONGEST) return [];
    return ['ControlMaster=auto', `ControlPath=${folder}/%C`, 'ControlPersist=60'];
  } catch {
    return [];
  }
}

/** `ssh DESTINATION -- LINE`. Whom to be, by which keys and over which hosts is ssh's own configuration. */
export function sshWay(destination: string): Way {
  const options = [
    'BatchMode=yes',
    'ConnectTimeout=10',
    `ServerAliveInterval=${SILENCE}`,
    'ServerAliveCountMax=3',
    ...sharing(),
  ];
  return {
    title: destination,
    file: 'ssh',
    args: [...options.flatMap((option) => ['-o', option]), destination, '--'],
    shown: [destination, '--'],
    follows: 'line',
  };
}

/**
 * In the container that runs; with `beside`, in one more of the same image with the same volumes, which need not run otherwise.
 * `machine`: the title of the one where Docker is asked.
 */
export function composeWay(
  { compose, service }: ComposeSettings,
  { beside, machine }: { beside: boolean; machine: string },
): Way {
  const [file, ...words] = composeWords(machine, compose);
  const args = [
    ...words,
    ...(beside ? ['run', '--rm', '--no-deps', '-T', '--entrypoint', 'env'] : ['exec', '-T']),
    service,
  ];
  return {
    title: `the service ${service} of ${compose}`,
    file,
    args,
    shown: args,
    follows: 'words',
  };
}

export const kubectlArguments = ({
  context,
  namespace,
}: Pick<KubernetesSettings, 'context' | 'namespace'>): string[] => [
  ...(context === undefined ? [] : ['--context', context]),
  '-n',
  namespace,
];

/** Each pod of a StatefulSet has files of its own; those that are meant are the first one's. */
export function podOf(kubernetes: string): string {
  const [kind, name] = kubernetes.split('/') as [string, string];
  return kind === 'statefulset' ? `pod/${name}-0` : kubernetes;
}

/** In the pod of the workload; with `pod`, in that one. */
export function kubernetesWay(settings: KubernetesSettings, pod?: string): Way {
  const { kubernetes, namespace, container } = settings;
  const words = (waiting: string[]) => [
    ...kubectlArguments(settings),
    ...['exec', ...waiting, '-i', pod === undefined ? podOf(kubernetes) : `pod/${pod}`],
    ...(container === undefined || pod !== undefined ? [] : ['-c', container]),
    '--',
  ];
  return {
    title: `${kubernetes} in ${namespace}`,
    file: 'kubectl',
    // Without it a workload that was scaled to 0 would be waited for.
    args: words(['--pod-running-timeout=5s']),
    shown: words([]),
    follows: 'words',
  };
}

const wordsOf = ({ file, args, environment = {} }: Command, sudo: boolean): string[] => [
  ...(sudo ? ['sudo', '-n'] : []),
  ...(Object.keys(environment).length === 0
    ? []
    : ['env', ...Object.entries(environment).map(([name, value]) => `${name}=${value}`)]),
  file,
  ...args,
];

const lineOf = (words: readonly string[]) => words.map(shellWord).join(' ');

/** What a person would type there. A line for a shell is read by one at the other end of ssh in any case. */
function shownOf({ follows }: Way, command: Command, sudo: boolean): string {
  const { file, args, environment } = command;
  const [flag, line, ...more] = args;
  const isLine = /^(\/bin\/)?sh$/.test(file) && flag === '-c' && line !== undefined && more.length === 0;
  return isLine && follows === 'line' && !sudo && environment === undefined ? line : lineOf(wordsOf(command, sudo));
}

/** The same command, as this machine runs it to have it run elsewhere. */
export function through(way: Way, command: Command, { sudo = false } = {}): Command {
  // Whoever asks for these would not get them.
  if (command.calledAs !== undefined || command.user !== undefined)
    throw new Error(`${command.file} cannot be run on ${way.title} under another name or as another user`);
  // One that is on its way already, as into a container of another machine, has its own guard at its end.
  const isOnItsWay = command.shown !== undefined;
  const plain = isOnItsWay ? command : withoutSecrets(command);
  const run = isOnItsWay || command.fed || command.input !== undefined ? plain : guarded(plain);
  const follows = (words: readonly string[]) => (way.follows === 'line' ? [lineOf(words)] : words);
  const shown = isOnItsWay ? command.shown! : shownOf(way, plain, sudo);
  return {
    file: way.file,
    args: [...way.args, ...follows(wordsOf(run, sudo))],
    ...(plain.input === undefined ? {} : { input: plain.input }),
    ...(command.fed ? { fed: true } : command.input === undefined || command.attended ? { attended: true } : {}),
    shown: `${secretsBefore(command)}${lineOf([way.file, ...way.shown])} ${way.follows === 'line' ? shellWord(shown) : shown}`,
  };
}
