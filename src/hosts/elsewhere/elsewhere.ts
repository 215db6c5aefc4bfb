import type { HostSettings } from '../../config/profile.js';
import { type Command, commandText } from '../command.js';
import { byEitherName } from '../compose-program.js';
import type { Host } from '../host.js';
import { HelperPod } from './helper-pod.js';
import { PosixFiles } from './posix-files.js';
import {
  type ComposeSettings,
  composeWay,
  type KubernetesSettings,
  kubectlArguments,
  kubernetesWay,
  sshWay,
  through,
} from './reach.js';
import { Reaching } from './reaching.js';

/** A host that is not this machine; `here` is the one that is. */
export function elsewhere(settings: HostSettings, here: Host): Host {
  if ('kubernetes' in settings) return inKubernetes(settings, here);
  if ('compose' in settings) return inCompose(settings, here);
  return overSsh(settings.ssh, settings.sudo);
}

const NOTHING: Command = { file: 'true', args: [] };

function overSsh(destination: string, sudo: boolean): Host {
  const way = sshWay(destination);
  const reach = (command: Command) => through(way, command, { sudo });
  const files = new PosixFiles(
    new Reaching(
      way.title,
      () => commandText(reach(NOTHING)),
      () => [reach],
    ),
  );
  const host: Host = { title: way.title, here: false, reach, files, driven: undefined as never };
  return Object.assign(host, { driven: host });
}

function inCompose(settings: ComposeSettings, here: Host): Host {
  const outside = settings.ssh === undefined ? here : overSsh(settings.ssh, false);
  const machine = outside.title;
  const into = (beside: boolean) => (command: Command) =>
    outside.reach(through(composeWay(settings, { beside, machine }), command));
  const reach = into(false);
  const { title } = composeWay(settings, { beside: false, machine });
  const where = outside.here ? title : `${title} on ${outside.title}`;
  const reaching = new Reaching(
    where,
    () => commandText(into(true)(NOTHING)),
    () => [reach, into(true)],
    {
      whileStopped: into(true),
      retry: (ask, saidOf) => byEitherName(machine, ask, saidOf),
    },
  );
  const files = new PosixFiles(reaching);
  return { title: where, here: false, reach, files, driven: outside };
}

function inKubernetes(settings: KubernetesSettings, here: Host): Host {
  const way = kubernetesWay(settings);
  const pod = new HelperPod(settings);
  const reach = (command: Command) => through(way, command);
  const beside = (command: Command) => through(kubernetesWay(settings, pod.name), command);
  const look = commandText({ file: 'kubectl', args: [...kubectlArguments(settings), 'get', 'pods'] });
  // Whether a workload has a pod is waited for: the one that is surely there comes first.
  const ways = (): [typeof reach, typeof reach] => (pod.isOpen ? [beside, reach] : [reach, beside]);
  const files = new PosixFiles(new Reaching(way.title, () => look, ways, { whileStopped: beside }), pod);
  return { title: way.title, here: false, reach, files, driven: here };
}
