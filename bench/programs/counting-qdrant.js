// Answers as a Qdrant does in which every collection that was restored holds the same one point, and counts what it is asked.
import http from 'node:http';

const POINT = { id: 1, payload: { entryId: '01JA0000000000000000000000' }, vector: [0.6, 0.8] };
const INFO = {
  status: 'green',
  optimizer_status: 'ok',
  segments_count: 1,
  points_count: 1,
  config: { params: { vectors: { size: 2, distance: 'Cosine' }, shard_number: 1 } },
  payload_schema: {},
};
const collections = new Set();
let requests = 0;

const RULES = [
  ['GET', /^\/$/, () => ({ raw: { title: 'qdrant', version: '1.16.3' } })],
  ['GET', /^\/collections$/, () => ({ collections: [...collections].map((name) => ({ name })) })],
  ['GET', /^\/aliases$/, () => ({ aliases: [] })],
  ['GET', /^\/cluster$/, () => ({ status: 'disabled' })],
  ['GET', /^\/debugger$/, () => ({})],
  ['GET', /^\/metrics$/, () => ({ text: metrics() })],
  ['PUT', /^\/collections\/([^/]+)$/, (name) => collections.add(name) && true],
  ['DELETE', /^\/collections\/([^/]+)$/, (name) => collections.delete(name)],
  ['GET', /^\/collections\/([^/]+)$/, (name) => (collections.has(name) ? INFO : undefined)],
  [
    'GET',
    /^\/collections\/([^/]+)\/cluster$/,
    () => ({
      peer_id: 1,
      shard_count: 1,
      local_shards: [{ shard_id: 0, points_count: 1, state: 'Active' }],
      remote_shards: [],
      shard_transfers: [],
    }),
  ],
  ['GET', /^\/collections\/([^/]+)\/snapshots$/, () => []],
  ['POST', /^\/collections\/([^/]+)\/snapshots\/upload$/, (name) => collections.add(name) && true],
  ['PUT', /^\/collections\/([^/]+)\/snapshots\/recover$/, (name) => collections.add(name) && true],
  ['POST', /^\/collections\/([^/]+)\/points\/count$/, () => ({ count: 1 })],
  ['POST', /^\/collections\/([^/]+)\/points\/scroll$/, () => ({ points: [POINT], next_page_offset: null })],
  ['POST', /^\/collections\/([^/]+)\/points\/query$/, () => ({ points: [{ id: 1, version: 0, score: 1 }] })],
];

const metrics = () =>
  [
    'app_info{name="qdrant",version="1.16.3"} 1',
    ...[...collections].map((name) => `snapshot_recovery_running{id="${name}"} 0`),
  ].join('\n');

const server = http.createServer((request, response) => {
  requests += 1;
  const { pathname } = new URL(request.url, 'http://here');
  request.resume().on('end', () => {
    for (const [method, path, answer] of RULES) {
      const found = request.method === method && path.exec(pathname);
      if (!found) continue;
      const result = answer(decodeURIComponent(found[1] ?? ''));
      if (result?.text !== undefined) return response.end(result.text);
      response.setHeader('content-type', 'application/json');
      if (result === undefined) response.statusCode = 404;
      return response.end(JSON.stringify(result?.raw ?? { result: result ?? null, status: 'ok', time: 0 }));
    }
    response.statusCode = 501;
    response.end(JSON.stringify({ status: { error: `not known here: ${request.method} ${pathname}` } }));
  });
});
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
process.on('message', () => {
  process.send({ requests });
  requests = 0;
  collections.clear();
});
process.on('disconnect', () => process.exit(0));
