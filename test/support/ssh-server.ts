import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { freePorts } from '../../src/sandbox/free-ports.js';
import { tempFolder } from './temp.js';
import { whyNot } from './tools.js';

// A real OpenSSH server of this test's own, with keys that are thrown away.

const SSHD = process.env.SSHD ?? '/usr/sbin/sshd';

/** Why none can be had here: empty where one can. */
export const whyNoSshServer = (): string =>
  whyNot('ssh', '-V') || whyNot('unshare', '--mount', 'true') || whyNot('test', '-x', SSHD);

const ends: (() => void)[] = [];
afterAll(() => {
  for (const end of ends.splice(0)) end();
});

/** Starts the server; answers the command with which something is run through it, on a terminal. */
export async function sshServer(environment: Record<string, string>): Promise<string[]> {
  const folder = tempFolder('ssh');
  const [port] = await freePorts(1);
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
      // A client that has gone silent is given up after 3 s.
      ...['ClientAliveInterval 1', 'ClientAliveCountMax 3', ''],
    ].join('\n'),
  );
  // The user and the folder that the server insists on, where it was never installed; nobody else sees them.
  const prepare = [
    'mount -t tmpfs tmpfs /run && mkdir -p /run/sshd',
    `cp /etc/passwd ${folder}/passwd`,
    `(grep -q ^sshd: /etc/passwd || echo sshd:x:74:65534::/run/sshd:/bin/false >> ${folder}/passwd)`,
    `mount --bind ${folder}/passwd /etc/passwd`,
  ];
  const server = spawn(
    'unshare',
    ['--mount', 'sh', '-c', `${prepare.join(' && ')} && exec "$@"`, 'sh', SSHD, '-D', '-e', '-f', config],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  ends.push(() => server.kill('SIGTERM'));
  const [said] = (await once(server.stderr!, 'data')) as [Buffer];
  if (!/listening/.test(said.toString())) throw new Error(`the SSH server did not start: ${said.toString()}`);
  const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR'];
  return [
    ...['ssh', '-tt', '-F', 'none', '-p', String(port), '-i', join(folder, 'user')],
    ...options.flatMap((option) => ['-o', option]),
    'root@127.0.0.1',
    ...['env', ...Object.entries(environment).map(([name, value]) => `${name}=${value}`)],
  ];
}
