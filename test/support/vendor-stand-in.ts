import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isRunning, killAll } from './eventually.js';
import { tempFolder } from './temp.js';

/** A service that a stand-in for a vendor's program supervises: real processes of this command. */
export interface StoodInService {
  command: string[];
  environment?: Record<string, string>;
  folder?: string;
  user?: { uid: number; gid: number };
  signal?: NodeJS.Signals;
  /** What it, or its supervisor, does that it should not. */
  behaves?: string;
  [more: string]: unknown;
}

interface State {
  behaves?: string;
  services: Record<string, StoodInService & { runs: { pid: number }[] }>;
}

const PROGRAMS = {
  docker: 'docker',
  'docker-compose': 'docker',
  systemctl: 'systemd',
  journalctl: 'systemd',
  sudo: 'systemd',
  kubectl: 'kubectl',
} as const;

export interface VendorStandIn {
  /** Put first on the PATH, its programs are found before the vendor's own. */
  path: string;
  environment: Record<string, string>;
  /** How the programs were called, in their order, each as one line. */
  calls(): string[];
  state(): State;
  set(edit: (state: State) => void): void;
  /** The processes that are alive. */
  pids(service: string): number[];
  end(): void;
}

/** Stand-ins for `programs` of vendors, in a folder of their own, with the services that they supervise. */
export function vendorStandIn(
  programs: (keyof typeof PROGRAMS)[],
  services: Record<string, StoodInService>,
): VendorStandIn {
  const folder = tempFolder('vendor');
  // The processes may belong to another user.
  chmodSync(folder, 0o755);
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  for (const program of programs) {
    const script = fileURLToPath(new URL(`./vendors/${PROGRAMS[program]}.mjs`, import.meta.url));
    writeFileSync(join(bin, program), `#!/bin/sh\nexec '${process.execPath}' '${script}' ${program} "$@"\n`, {
      mode: 0o755,
    });
  }
  const file = join(folder, 'state.json');
  const calls = join(folder, 'calls.jsonl');
  const state = () => JSON.parse(readFileSync(file, 'utf8')) as State;
  const set = (edit: (state: State) => void) => {
    const now = existsSync(file) ? state() : { services: {} };
    edit(now);
    writeFileSync(file, JSON.stringify(now));
  };
  set((now) => {
    for (const [name, service] of Object.entries(services)) now.services[name] = { ...service, runs: [] };
  });
  const pids = (service: string) =>
    state()
      .services[service]!.runs.map(({ pid }) => pid)
      .filter(isRunning);
  return {
    path: `${bin}:${process.env.PATH}`,
    environment: { VENDOR_STAND_IN: folder, PATH: `${bin}:${process.env.PATH}` },
    calls: () =>
      existsSync(calls)
        ? readFileSync(calls, 'utf8')
            .trimEnd()
            .split('\n')
            .map((line) => (JSON.parse(line) as string[]).join(' '))
        : [],
    state,
    set,
    pids,
    end() {
      for (const service of Object.keys(services)) killAll(pids(service));
    },
  };
}
