import type { Command } from './command.js';
import type { HostFiles } from './host-files.js';
import { localFiles } from './local-files.js';

/** Where a service's commands run and its files lie. */
export interface Host {
  /** `this machine`, `ops@graph-1`, `the service falkordb of /srv/novamem`, `statefulset/falkordb in novamem`. */
  readonly title: string;
  /** Whether that is this machine, so that files can be reached by their paths. */
  readonly here: boolean;
  /** The command that this machine runs to have another one run there, as a person could paste it. */
  reach(command: Command): Command;
  readonly files: HostFiles;
  /** From where the service is stopped and started: a container is not asked to end itself. */
  readonly driven: Host;
}

/** This machine. */
export const HERE: Host = {
  title: 'this machine',
  here: true,
  reach: (command) => command,
  files: localFiles,
  get driven() {
    return HERE;
  },
};
