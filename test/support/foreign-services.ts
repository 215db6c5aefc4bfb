import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { shellWord } from '../../src/hosts/command.js';
import type { Binaries } from '../../src/sandbox/binaries.js';
import type { StandInSettings } from '../../src/sandbox/stand-in.js';
import type { Ca, Certificate } from './certificates.js';
import { keyFor } from './certificates.js';
import { ROOT } from './program.js';

// How the operators of a cluster that is not a sandbox start and stop its parts: a shell script for each, a pid file, a log.

export const FOREIGN_SERVICES = ['postgres', 'qdrant', 'falkordb', 'novamem'] as const;
export type ForeignService = (typeof FOREIGN_SERVICES)[number];

export interface Ports {
  postgres: number;
  qdrant: number;
  qdrantGrpc: number;
  falkordb: number;
  novamem: number;
}

// Looking for secrets on the command lines of this machine must not find those of another test file's cluster.
const own = randomBytes(4).toString('hex');

/** Every password holds each of `@ : / ' & #` and a space: what breaks URLs, shells, SQL and configuration files. */
export const SECRETS = {
  administrator: `s@pe:r/u'ser&d #0 ${own}`,
  postgres: `p@ss:w/o'r&d #1 ${own}`,
  qdrant: `k@y:q/d'r&ant #2 ${own}`,
  falkordb: `g@ra:p/h'w&ord #3 ${own}`,
  novamem: `nm_t@k:e/n'&ok #4 ${own}`,
} as const;

/** What a cluster has whose parts all speak TLS only: its CA, what its servers show, and what is shown to them. */
export interface ForeignTls {
  ca: Ca;
  server: Certificate;
  client: Certificate;
}

export interface User {
  uid: number;
  gid: number;
}

/** Where the cluster keeps what. */
export function placesIn(folder: string) {
  return {
    postgresData: join(folder, 'postgres'),
    qdrantData: join(folder, 'qdrant'),
    falkordbData: join(folder, 'falkordb', 'data'),
    configuration: join(folder, 'configuration'),
    /** An HTTP header in a file, for curl: on its command line every user of the machine could read it. */
    qdrantHeader: join(folder, 'configuration', 'api-key-header'),
    script: (service: ForeignService) => join(folder, 'bin', service),
    pidFile: (service: ForeignService) => join(folder, 'pids', service),
    log: (service: ForeignService) => join(folder, 'logs', `${service}.log`),
  };
}

/** Postgres refuses to run as root, so both Postgres and FalkorDB then run as another user. */
export function unprivilegedUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const found = ['postgres', 'nobody'].map((name) => users.find((user) => user[0] === name)).find(Boolean);
  if (!found) throw new Error('this machine has neither a user postgres nor nobody');
  return { uid: Number(found[2]), gid: Number(found[3]) };
}

/** Makes the folders, the configurations and a script for each service. */
export function layServices(
  folder: string,
  ports: Ports,
  binaries: Binaries,
  user: User | undefined,
  tls?: ForeignTls,
): void {
  const places = placesIn(folder);
  for (const name of ['bin', 'pids', 'logs', 'configuration', 'falkordb', 'qdrant'])
    mkdirSync(join(folder, name), { mode: 0o711 });
  const commands = {
    postgres: postgresCommand(folder, ports, binaries, user),
    qdrant: qdrantCommand(folder, ports, binaries, tls),
    falkordb: falkordbCommand(folder, ports, binaries, user, tls),
    novamem: novamemCommand(folder, ports, tls),
  };
  for (const service of FOREIGN_SERVICES) {
    // Postgres takes SIGTERM as "wait until every client has gone".
    const signal = service === 'postgres' ? 'INT' : 'TERM';
    writeFileSync(places.script(service), script(folder, service, commands[service], signal), { mode: 0o755 });
  }
}

function script(folder: string, service: ForeignService, command: string[], signal: string): string {
  const { pidFile, log } = placesIn(folder);
  return `#!/bin/sh
pid=${shellWord(pidFile(service))}
case "$1" in
start)
  cd ${shellWord(folder)} || exit 1
  setsid nohup ${command.map(shellWord).join(' ')} >>${shellWord(log(service))} 2>&1 & echo $! >"$pid" ;;
stop)
  [ -f "$pid" ] || exit 0
  kill -${signal} "$(cat "$pid")" 2>/dev/null || exit 0
  while kill -0 "$(cat "$pid")" 2>/dev/null; do sleep 0.1; done ;;
status)
  kill -0 "$(cat "$pid")" 2>/dev/null ;;
esac
`;
}

const as = (user: User | undefined) =>
  user ? ['setpriv', '--reuid', String(user.uid), '--regid', String(user.gid), '--clear-groups'] : [];

function keepFor(user: User | undefined, path: string, text: string): void {
  writeFileSync(path, text, { mode: 0o600 });
  if (user) chownSync(path, user.uid, user.gid);
}

function postgresCommand(folder: string, ports: Ports, binaries: Binaries, user: User | undefined): string[] {
  const settings = { port: ports.postgres, listen_addresses: '127.0.0.1', unix_socket_directories: '', fsync: 'off' };
  return [
    ...as(user),
    join(binaries.postgres, 'postgres'),
    ...['-D', placesIn(folder).postgresData],
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
}

function qdrantCommand(folder: string, ports: Ports, binaries: Binaries, tls?: ForeignTls): string[] {
  const { configuration, qdrantData, qdrantHeader } = placesIn(folder);
  const file = join(configuration, 'qdrant.yaml');
  keepFor(
    undefined,
    file,
    stringify({
      log_level: 'WARN',
      telemetry_disabled: true,
      service: {
        host: '127.0.0.1',
        http_port: ports.qdrant,
        grpc_port: ports.qdrantGrpc,
        api_key: SECRETS.qdrant,
        enable_tls: tls !== undefined,
      },
      ...(tls ? { tls: { cert: tls.server.certFile, key: tls.server.keyFile } } : {}),
      storage: { storage_path: join(qdrantData, 'storage'), snapshots_path: join(qdrantData, 'snapshots') },
    }),
  );
  keepFor(undefined, qdrantHeader, `api-key: ${SECRETS.qdrant}\n`);
  return [binaries.qdrant, '--config-path', file];
}

function falkordbCommand(
  folder: string,
  ports: Ports,
  binaries: Binaries,
  user: User | undefined,
  tls?: ForeignTls,
): string[] {
  const { configuration, falkordbData } = placesIn(folder);
  // The unprivileged user may not be let into the folder of this clone: the server's programs are copied out of it.
  const ownCopy = (path: string, name: string) => {
    const to = join(folder, 'bin', name);
    copyFileSync(path, to);
    chmodSync(to, 0o755);
    return to;
  };
  const module = ownCopy(binaries.module, 'falkordb.so');
  const server = binaries.redis.includes('/') ? ownCopy(binaries.redis, 'redis-server') : binaries.redis;
  const file = join(configuration, 'falkordb.conf');
  keepFor(
    user,
    file,
    [
      'bind 127.0.0.1',
      // It asks every client for a certificate, too: that is its default.
      ...(tls
        ? [
            'port 0',
            `tls-port ${ports.falkordb}`,
            `tls-cert-file ${tls.server.certFile}`,
            `tls-key-file ${keyFor(user, tls.server, join(configuration, 'falkordb.key'))}`,
            `tls-ca-cert-file ${tls.ca.caFile}`,
          ]
        : [`port ${ports.falkordb}`]),
      `dir ${falkordbData}`,
      `requirepass "${SECRETS.falkordb}"`,
      `loadmodule ${module}`,
      'appendonly yes',
      '',
    ].join('\n'),
  );
  for (const path of [join(falkordbData, '..'), falkordbData]) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    if (user) chownSync(path, user.uid, user.gid);
  }
  return [...as(user), server, file];
}

function novamemCommand(folder: string, ports: Ports, tls?: ForeignTls): string[] {
  const file = join(placesIn(folder).configuration, 'novamem.json');
  const settings: StandInSettings = {
    port: ports.novamem,
    token: SECRETS.novamem,
    postgres: {
      host: '127.0.0.1',
      port: ports.postgres,
      user: 'novamem',
      password: SECRETS.postgres,
      database: 'novamem',
    },
    qdrant: { port: ports.qdrant, apiKey: SECRETS.qdrant },
    falkordb: { port: ports.falkordb, password: SECRETS.falkordb, graph: 'novamem' },
    embeddingsPerMinute: 60_000,
    ...(tls ? { tls: { caFile: tls.ca.caFile, ...tls.server } } : {}),
  };
  keepFor(undefined, file, JSON.stringify(settings));
  const trusting = tls ? ['env', `NODE_EXTRA_CA_CERTS=${tls.ca.caFile}`] : [];
  return [...trusting, process.execPath, join(ROOT, 'dist', 'sandbox', 'stand-in-main.js'), file];
}
