import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { QdrantClient } from '@qdrant/js-client-rest';
import { afterAll } from 'vitest';
import { findBinaries } from '../../src/sandbox/binaries.js';
import { freePorts } from '../../src/sandbox/free-ports.js';
import { Qdrant } from '../../src/stores/qdrant/connection.js';
import { eventually } from './eventually.js';
import { tempFolder } from './temp.js';

/** A real Qdrant server that a test started for itself, beside the sandbox's. */
export interface QdrantNode {
  url: string;
  folder: string;
  /** Where the nodes of a cluster talk to each other. */
  peer: string;
  client: QdrantClient;
  /** The server as the program knows it. */
  qdrant: Qdrant;
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>;
  /** Starts it again in its folder, with these variables besides. */
  start(environment?: Record<string, string>): Promise<void>;
}

export interface QdrantNodeOptions {
  environment?: Record<string, string>;
  /** Its folder; one of its own when absent. */
  folder?: string;
  /** A node of a cluster: the first, or one that joins another. */
  cluster?: 'first' | QdrantNode;
  /** What the profile's `apiKeyFrom` names; no key when absent. */
  keyFrom?: string;
}

const nodes: QdrantNode[] = [];

afterAll(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.kill()));
});

/** Starts a node; it is ended after the tests of the file, or when this process is gone. */
export async function startQdrant(options: QdrantNodeOptions = {}): Promise<QdrantNode> {
  const [http, grpc, p2p] = (await freePorts(3)) as [number, number, number];
  const folder = options.folder ?? tempFolder('qdrant');
  const { qdrant: program } = await findBinaries();
  const url = `http://127.0.0.1:${http}`;
  const peer = `http://127.0.0.1:${p2p}`;
  const joined = options.cluster && options.cluster !== 'first' ? ['--bootstrap', options.cluster.peer] : [];
  const args = options.cluster ? ['--uri', peer, ...joined] : [];
  const qdrant = new Qdrant({
    url,
    collectionPrefix: 'novamem_',
    ...(options.keyFrom ? { apiKeyFrom: options.keyFrom } : {}),
  });
  let end = async () => {};
  const node: QdrantNode = {
    url,
    folder,
    peer,
    qdrant,
    client: new QdrantClient({ host: '127.0.0.1', port: http, checkCompatibility: false }),
    kill: () => end(),
    async start(environment = {}) {
      mkdirSync(folder, { recursive: true });
      // The shell ends the server when its own standard input ends: also when this process was killed.
      const shell = spawn(
        '/bin/sh',
        ['-c', '"$0" "$@" </dev/null & cat >/dev/null; kill -KILL $!', program, ...args],
        {
          cwd: folder,
          env: {
            PATH: process.env.PATH,
            QDRANT__SERVICE__HOST: '127.0.0.1',
            QDRANT__SERVICE__HTTP_PORT: String(http),
            QDRANT__SERVICE__GRPC_PORT: String(grpc),
            QDRANT__CLUSTER__P2P__PORT: String(p2p),
            QDRANT__CLUSTER__ENABLED: String(options.cluster !== undefined),
            QDRANT__STORAGE__STORAGE_PATH: join(folder, 'storage'),
            QDRANT__STORAGE__SNAPSHOTS_PATH: join(folder, 'snapshots'),
            QDRANT__TELEMETRY_DISABLED: 'true',
            QDRANT__LOG_LEVEL: 'WARN',
            ...options.environment,
            ...environment,
          },
          stdio: ['pipe', 'pipe', 'pipe'],
        },
      );
      const log = join(folder, 'log');
      for (const from of [shell.stdout, shell.stderr])
        from.on('data', (text) => existsSync(folder) && appendFileSync(log, text));
      const gone = once(shell, 'exit');
      end = async () => {
        shell.stdin.end();
        await gone;
      };
      await eventually(`Qdrant answers: ${log}`, () =>
        fetch(url).then(
          (answer) => answer.ok,
          () => {
            if (shell.exitCode !== null) throw new Error(readFileSync(log, 'utf8'));
            return false;
          },
        ),
      );
    },
  };
  nodes.push(node);
  await node.start();
  return node;
}

/** A cluster of as many nodes, each of which knows all of them. `last`: variables of the last one only. */
export async function startQdrantCluster(count: number, last: Record<string, string> = {}): Promise<QdrantNode[]> {
  const first = await startQdrant({ cluster: 'first' });
  const all = [first];
  while (all.length < count)
    all.push(await startQdrant({ cluster: first, environment: all.length === count - 1 ? last : {} }));
  for (const { url } of all)
    await eventually(`${url} knows ${count} nodes`, async () => {
      const { result } = (await (await fetch(`${url}/cluster`)).json()) as { result: { peers: object } };
      return Object.keys(result.peers).length === count;
    });
  return all;
}
