import type { Profile } from '../../src/config/profile.js';
import { findBinaries } from '../../src/sandbox/binaries.js';
import { freePorts } from '../../src/sandbox/free-ports.js';
import type { StepContext } from '../../src/steps/step.js';
import { Cluster } from '../../src/stores/cluster.js';
import { falkordbOf } from './falkordb.js';
import type { RealCluster } from './sandbox.js';
import { contextOf } from './sandbox.js';
import { type SshHost, sshHost } from './ssh-server.js';

/** A cluster whose FalkorDB is on another host, with files that only that host sees. */
export interface FalkordbElsewhere {
  host: SshHost;
  profile: Profile;
  cluster: Cluster;
  server: ReturnType<typeof falkordbOf>;
  /** A path in the server's data folder. */
  data(...names: string[]): string;
  context(more?: Partial<StepContext>): StepContext;
}

/** Postgres, Qdrant and novamem are those of a real cluster. */
export async function falkordbElsewhere(real: RealCluster): Promise<FalkordbElsewhere> {
  const host = await sshHost('graph-1');
  const { redis, module } = await findBinaries();
  const [port] = await freePorts(1);
  const dataDir = `${host.folder}/data`;
  const config = `${host.folder}/falkordb.conf`;
  const lines = ['bind 127.0.0.1', `port ${port}`, `dir ${dataDir}`, `loadmodule ${module}`, 'appendonly yes'];
  const more = ['daemonize yes', `pidfile ${host.folder}/pid`, `logfile ${host.folder}/log`];
  host.run(
    `mkdir -p ${dataDir} && printf '%s\\n' ${[...lines, ...more].map((line) => `'${line}'`).join(' ')} > ${config}`,
  );
  const profile: Profile = {
    ...real.cluster.profile,
    falkordb: { url: `redis://127.0.0.1:${port}`, graph: real.cluster.falkordb.graph, dataDir },
    hosts: { falkordb: { ssh: host.name, sudo: false } },
    services: {
      ...real.cluster.profile.services,
      falkordb: {
        driver: 'command',
        start: `${redis} ${config}`,
        stop: `kill $(cat ${host.folder}/pid) || true`,
        status: `kill -0 $(cat ${host.folder}/pid)`,
      },
    },
  };
  const cluster = new Cluster(profile);
  return {
    host,
    profile,
    cluster,
    server: falkordbOf({ ...real, cluster }),
    data: (...names) => [dataDir, ...names].join('/'),
    context: (given = {}) => contextOf(cluster, given),
  };
}
