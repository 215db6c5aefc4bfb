import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listCollections } from '../../stores/qdrant/inventory.js';
import { plural } from '../../words.js';
import { type Disaster, gateway, type Scene, start, stop } from './disaster.js';

// What can happen to the vectors and to the graph.

export async function loseQdrant(scene: Scene): Promise<string> {
  await stop(scene, 'qdrant');
  rmSync(scene.places.qdrantData, { recursive: true, force: true });
  return `Qdrant stopped, ${scene.places.qdrantData} removed`;
}

export async function loseFalkordb(scene: Scene): Promise<string> {
  await stop(scene, 'falkordb');
  rmSync(scene.places.falkordbData, { recursive: true, force: true });
  return `FalkorDB stopped, ${scene.places.falkordbData} removed`;
}

export const qdrantLost: Disaster = {
  id: 'qdrant-lost',
  title: 'The storage of Qdrant is gone',
  scenario: 'qdrant-lost',
  pager: 'novamem: /health 503',
  users: 'Searching answers with an error, or finds only exact words.',
  before: ['backup', 'memories'],
  strike: async (scene) => [await loseQdrant(scene)],
};

export const putRestoresNothing: Disaster = {
  id: 'put-restores-nothing',
  title: 'The collections are gone, and somebody has "restored" them with the PUT of an old handbook',
  scenario: 'qdrant-lost',
  pager: 'nothing: a colleague reports "snapshots restored, exit code 0 each", and went to bed',
  users: 'Searching finds next to nothing.',
  before: ['backup', 'memories'],
  async strike({ cluster: { qdrant } }) {
    const names = await listCollections(qdrant);
    const said: string[] = [];
    for (const name of names) {
      await qdrant.write(gateway, 'DELETE', `/collections/${name}`, (client) => client.deleteCollection(name));
      const response = await fetch(qdrant.urlOf('collections', name, 'snapshots', 'upload'), {
        method: 'PUT',
        headers: qdrant.apiKey === undefined ? {} : { 'api-key': qdrant.apiKey },
      });
      said.push(String(response.status));
    }
    return [
      `${plural(names.length, 'collection')} deleted`,
      `PUT …/snapshots/upload for each of them: HTTP ${[...new Set(said)].join(', ')}, with an empty body`,
    ];
  },
};

export const falkordbLost: Disaster = {
  id: 'falkordb-lost',
  title: 'The files of FalkorDB are gone',
  scenario: 'falkordb-lost',
  pager: 'FalkorDB: connection refused',
  users: 'Related memories are not shown any more.',
  before: ['backup'],
  strike: async (scene) => [await loseFalkordb(scene)],
};

export const rdbBesideAof: Disaster = {
  id: 'rdb-beside-aof',
  title: 'The graph was lost, and a dump.rdb was put into place beside "appendonly yes": it loads empty',
  scenario: 'falkordb-lost',
  pager: 'nothing: FalkorDB answers, a colleague has restored it',
  users: 'Related memories are not shown any more.',
  before: ['backup'],
  async strike(scene) {
    const { falkordb } = scene.cluster;
    const { falkordbData } = scene.places;
    const rdb = join(falkordbData, 'dump.rdb');
    await falkordb.write(gateway, 'SAVE');
    const dump = readFileSync(rdb);
    await stop(scene, 'falkordb');
    rmSync(join(falkordbData, 'appendonlydir'), { recursive: true, force: true });
    writeFileSync(rdb, dump);
    await start(scene, 'falkordb');
    return ['appendonlydir removed, dump.rdb left in its place, FalkorDB started: it holds nothing'];
  },
};

export const graphDeadHealthGreen: Disaster = {
  id: 'graph-dead-health-green',
  title: 'The graph was deleted; every server answers, and /health is green',
  scenario: 'falkordb-lost',
  pager: 'nothing: /health 200',
  users: 'The order of what I find has become strange.',
  before: ['backup'],
  async strike({ cluster: { falkordb } }) {
    await falkordb.write(gateway, 'GRAPH.DELETE', falkordb.graph);
    return [`graph ${falkordb.graph} deleted`];
  },
};
