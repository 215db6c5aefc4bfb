import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { PACKAGE_ROOT } from '../../src/config/package-root.js';
import { freePorts } from '../../src/sandbox/free-ports.js';
import { eventually, killAll, processes } from './eventually.js';
import { tempFolder } from './temp.js';
import { whyNot } from './tools.js';

// A real OpenSSH server of this test's own, with keys that are thrown away.

/** Where scripts/provide-servers.sh unpacks the one that is not installed. */
const UNPACKED = join(PACKAGE_ROOT, 'node_modules', '.cache', 'openssh');
const SSHD =
  process.env.SSHD ??
  ['/usr/sbin/sshd', join(UNPACKED, 'usr', 'sbin', 'sshd')].find((path) => existsSync(path)) ??
  '/usr/sbin/sshd';
const LIBRARIES = join(UNPACKED, 'usr', 'lib', `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`);

/** Why none can be had here: empty where one can. */
export const whyNoSshServer = (): string =>
  whyNot('ssh', '-V') || whyNot('unshare', '--mount', 'true') || whySshdDoesNotStart();

function whySshdDoesNotStart(): string {
  const { error, status, stderr } = spawnSync(SSHD, ['-V'], {
    encoding: 'utf8',
    env: withLibraries(),
    timeout: 20_000,
  });
  if (error) return `no ${SSHD}, see scripts/provide-servers.sh sshd`;
  // Older ones do not know the question; what lacks a library never gets as far as that.
  return status === 126 || status === 127 ? stderr.trim().split('\n')[0]! : '';
}

const withLibraries = () => ({ ...process.env, LD_LIBRARY_PATH: LIBRARIES });

const ends: (() => void)[] = [];
afterAll(() => {
  for (const end of ends.splice(0)) end();
});

interface Listening {
  folder: string;
  port: number;
  start(): Promise<number>;
}

/** Prepares a server, which is started once or again and again. */
async function listening(): Promise<Listening> {
  const folder = tempFolder('ssh');
  // The server reads the keys of a user as that user.
  chmodSync(folder, 0o711);
  const [port] = (await freePorts(1)) as [number];
  for (const key of ['host', 'user'])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, key)]);
  const config = join(folder, 'config');
  writeFileSync(
    config,
    [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${join(folder, 'host')}`,
      `AuthorizedKeysFile ${join(folder, 'user.pub')}`,
      ...['PidFile none', 'UsePAM no', 'StrictModes no', 'PasswordAuthentication no'],
      // Newer servers have a program of its own for each connection.
      ...['session', 'auth'].flatMap((part) => {
        const program = join(UNPACKED, 'usr', 'lib', 'openssh', `sshd-${part}`);
        return SSHD.startsWith(UNPACKED) && existsSync(program)
          ? [`Sshd${part === 'auth' ? 'Auth' : 'Session'}Path ${program}`]
          : [];
      }),
      // A client that has gone silent is given up after 3 s.
      ...['ClientAliveInterval 1', 'ClientAliveCountMax 3', ''],
    ].join('\n'),
  );
  // The user and the folder that the server insists on, where it was never installed; nobody else sees them.
  const prepare = [
    'mount -t tmpfs tmpfs /run && mkdir -p /run/sshd',
    `cp /etc/passwd ${folder}/passwd`,
    `(grep -q ^sshd: /etc/passwd || echo sshd:x:74:65534::/run/sshd:/bin/false >> ${folder}/passwd)`,
    // Whoever has no shell cannot be reached.
    `sed -i 's|^\\(nobody:.*\\):[^:]*$|\\1:/bin/sh|' ${folder}/passwd`,
    `mount --bind ${folder}/passwd /etc/passwd`,
  ];
  const start = async () => {
    const server = spawn(
      'unshare',
      ['--mount', 'sh', '-c', `${prepare.join(' && ')} && exec "$@"`, 'sh', SSHD, '-D', '-e', '-f', config],
      { stdio: ['ignore', 'ignore', 'pipe'], env: withLibraries() },
    );
    ends.push(() => server.kill('SIGTERM'));
    const [said] = (await once(server.stderr!, 'data')) as [Buffer];
    if (!/listening/.test(said.toString())) throw new Error(`the SSH server did not start: ${said.toString()}`);
    server.stderr!.resume();
    return server.pid!;
  };
  return { folder, port, start };
}

const OPTIONS = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR'];

/** Starts the server; answers the command with which something is run through it, on a terminal. */
export async function sshServer(environment: Record<string, string>): Promise<string[]> {
  const { folder, port, start } = await listening();
  await start();
  return [
    ...['ssh', '-tt', '-F', 'none', '-p', String(port), '-i', join(folder, 'user')],
    ...OPTIONS.flatMap((option) => ['-o', option]),
    'root@127.0.0.1',
    ...['env', ...Object.entries(environment).map(([name, value]) => `${name}=${value}`)],
  ];
}

/** A host behind a real SSH server. */
export interface SshHost {
  /** What `ssh` takes it by. */
  name: string;
  /** The same, as somebody who is not root there. */
  user: string;
  /** What is below this folder only the host sees. */
  folder: string;
  /** Runs a line there; answers what it printed. */
  run(line: string): string;
  /** Ends every connection that there is now, as a network would. */
  cut(): Promise<void>;
}

let configured: string | undefined;

/** The configuration of an `ssh` that stands first on the PATH: the real one, with nothing but that. */
function clientConfig(): string {
  if (configured) return configured;
  const ssh = execFileSync('sh', ['-c', 'command -v ssh'], { encoding: 'utf8' }).trim();
  const folder = tempFolder('ssh-client');
  configured = join(folder, 'config');
  writeFileSync(join(folder, 'ssh'), `#!/bin/sh\nexec ${ssh} -F ${configured} "$@"\n`);
  chmodSync(join(folder, 'ssh'), 0o755);
  const before = process.env.PATH;
  process.env.PATH = `${folder}:${before}`;
  ends.push(() => {
    process.env.PATH = before;
  });
  return configured;
}

/**
 * Starts a server with files of its own, and puts an `ssh` first on the PATH that is the real one with a configuration of this
 * test's own: who asks for `ssh NAME` gets there.
 */
export async function sshHost(name: string): Promise<SshHost> {
  const { folder, port, start } = await listening();
  appendFileSync(
    clientConfig(),
    [
      `Host ${name}`,
      ...['HostName 127.0.0.1', `Port ${port}`, 'User root', `IdentityFile ${join(folder, 'user')}`].map(
        (line) => `  ${line}`,
      ),
      ...OPTIONS.map((option) => `  ${option.replace('=', ' ')}`),
      '',
    ].join('\n'),
  );
  const pid = await start();
  const connections = () => processes().flatMap((one) => (one.parent === pid ? [one.pid] : []));
  // Before the server, which would leave them: a shared connection outlives its last command.
  ends.unshift(() => {
    killAll(connections());
  });
  return {
    name,
    user: `nobody@${name}`,
    folder: '/run/there',
    run: (line) => execFileSync('ssh', [name, '--', line], { encoding: 'utf8' }),
    async cut() {
      killAll(connections());
      await eventually('they are gone', () => connections().length === 0);
    },
  };
}
