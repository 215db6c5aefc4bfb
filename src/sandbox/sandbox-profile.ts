import { join } from 'node:path';
import { PACKAGE_ROOT } from '../config/package-root.js';
import type { Profile, ServiceName } from '../config/profile.js';
import type { S3Settings } from '../config/s3.js';
import type { Binaries } from './binaries.js';
import type { SandboxRecord } from './registry.js';

/** What the stores of a sandbox are called, so that the backup of another cluster fits into them. */
export interface SandboxShape {
  /** The role that owns everything, and the database. */
  user: string;
  database: string;
  collectionPrefix: string;
  graph: string;
  /** The servers' major version that is wanted; the newest otherwise, and where it is not there. */
  postgresMajor?: number;
  /** A real novamem instead of the stand-in. It is told its stores in the variables that novamem knows. */
  novamem?: { command: string[]; environment: Record<string, string>; tokenFrom?: string };
  /** The profile's `drill.recall` of the cluster that it stands for. */
  recall: boolean;
  /** How the bucket is reached from which it is restored, now and when that is resumed. */
  s3?: S3Settings;
}

export const ORDINARY: SandboxShape = {
  user: 'novamem',
  database: 'novamem',
  collectionPrefix: 'novamem_',
  graph: 'novamem',
  recall: true,
};

/** Where a sandbox keeps what. */
export function placesIn(folder: string) {
  return {
    profile: join(folder, 'profile.yaml'),
    secret: (name: string) => join(folder, 'secrets', name),
    log: (service: ServiceName) => join(folder, 'logs', `${service}.log`),
    pidFile: (service: ServiceName) => join(folder, 'pids', `${service}.json`),
    postgresData: join(folder, 'postgres'),
    walArchive: join(folder, 'wal-archive'),
    qdrantData: join(folder, 'qdrant'),
    falkordbData: join(folder, 'falkordb'),
    falkordbConfig: join(folder, 'falkordb.conf'),
    standInSettings: join(folder, 'secrets', 'stand-in.json'),
    backups: join(folder, 'backups'),
  };
}

/** The program of the stand-in, compiled: it is started as a process of its own. */
const STAND_IN = join(PACKAGE_ROOT, 'dist', 'bundle', 'stand-in-main.js');

/** The profile of a sandbox: the same kind of file as that of any cluster, with nothing hidden. */
export function profileOf(
  { name, folder, ports }: SandboxRecord,
  binaries: Binaries,
  postgresUser: { uid: number; gid: number } | undefined,
  shape: SandboxShape,
): Profile {
  const places = placesIn(folder);
  const driver = (
    service: ServiceName,
    command: string[],
    more: Partial<Extract<Profile['services']['novamem'], { driver: 'process' }>> = {},
  ) => ({
    driver: 'process' as const,
    command,
    environment: {},
    folder,
    pidFile: places.pidFile(service),
    log: places.log(service),
    stopSignal: 'SIGTERM' as const,
    ...more,
  });
  return {
    name,
    production: false,
    postgres: {
      url: `postgres://${encodeURIComponent(shape.user)}@127.0.0.1:${ports.postgres}/${encodeURIComponent(shape.database)}`,
      passwordFrom: `file:${places.secret('postgres')}`,
      dataDir: places.postgresData,
      walArchive: places.walArchive,
    },
    qdrant: {
      url: `http://127.0.0.1:${ports.qdrant}`,
      apiKeyFrom: `file:${places.secret('qdrant')}`,
      collectionPrefix: shape.collectionPrefix,
      dataDir: places.qdrantData,
    },
    falkordb: {
      url: `redis://127.0.0.1:${ports.falkordb}`,
      passwordFrom: `file:${places.secret('falkordb')}`,
      graph: shape.graph,
      dataDir: places.falkordbData,
    },
    novamem: {
      url: `http://127.0.0.1:${ports.novamem}`,
      tokenFrom: shape.novamem ? shape.novamem.tokenFrom : `file:${places.secret('novamem')}`,
    },
    services: {
      novamem: shape.novamem
        ? driver('novamem', shape.novamem.command, {
            environmentFile: places.secret('novamem-environment'),
          })
        : driver('novamem', [process.execPath, STAND_IN, places.standInSettings]),
      postgres: driver(
        'postgres',
        [
          join(binaries.postgres, 'postgres'),
          ...['-D', places.postgresData, '-h', '127.0.0.1', '-p', String(ports.postgres)],
          // A throw-away cluster: it need not survive a power cut. No socket file: its path may be too long for one.
          ...['-c', 'unix_socket_directories=', '-c', 'fsync=off', '-c', 'max_wal_size=2GB'],
          // In the data directory, so that nothing of it is left where it is killed.
          ...['-c', 'dynamic_shared_memory_type=mmap'],
        ],
        { stopSignal: 'SIGINT', ...(postgresUser ? { user: postgresUser } : {}) },
      ),
      qdrant: driver('qdrant', [binaries.qdrant], {
        environment: {
          QDRANT__SERVICE__HOST: '127.0.0.1',
          QDRANT__SERVICE__HTTP_PORT: String(ports.qdrant),
          QDRANT__SERVICE__GRPC_PORT: String(ports.qdrantGrpc),
          QDRANT__STORAGE__STORAGE_PATH: join(places.qdrantData, 'storage'),
          QDRANT__STORAGE__SNAPSHOTS_PATH: join(places.qdrantData, 'snapshots'),
          // The server would make one for each processor, of some thirty files each: too many for collections this small.
          QDRANT__STORAGE__OPTIMIZERS__DEFAULT_SEGMENT_NUMBER: '1',
          QDRANT__TELEMETRY_DISABLED: 'true',
          QDRANT__LOG_LEVEL: 'WARN',
        },
        environmentFile: places.secret('qdrant-environment'),
      }),
      falkordb: driver('falkordb', [binaries.redis, places.falkordbConfig]),
    },
    backups: [places.backups],
    hosts: {},
    ...(shape.s3 ? { s3: shape.s3 } : {}),
    drill: { everyDays: 90, recall: shape.recall },
  };
}
