import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { closedGateway, GatewayRefusal, openGateway } from '../../../src/hosts/gateway.js';
import { Novamem } from '../../../src/stores/novamem/connection.js';
import { REINDEX, reindexSupport, startReindex } from '../../../src/stores/novamem/reindex.js';

const servers: ReturnType<typeof createServer>[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

type Answers = (request: IncomingMessage, response: ServerResponse) => void;

/** A service that answers in a certain way, and every request that it got. */
async function service(answers: Answers): Promise<{ novamem: Novamem; requests: string[]; stop(): void }> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    answers(request, response);
  });
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { novamem: new Novamem({ url }), requests, stop: () => server.close().closeAllConnections() };
}

const describing =
  (paths: object): Answers =>
  (request, response) =>
    request.url === '/openapi.json'
      ? response.end(JSON.stringify({ openapi: '3.0.3', paths }))
      : response.writeHead(404).end();

describe('whether a server has the endpoint', () => {
  test.each<[string, Answers, string, RegExp]>([
    ['describes it', describing({ [REINDEX]: { post: {} } }), 'yes', /openapi\.json has POST/],
    [
      'describes its paths without it',
      describing({ '/v1/search': { post: {} } }),
      'no',
      /openapi\.json does not have it/,
    ],
    ['describes another method of it only', describing({ [REINDEX]: { get: {} } }), 'no', /answers HTTP 404/],
    [
      'describes nothing, but allows POST there',
      (request, response) =>
        request.method === 'OPTIONS'
          ? response.writeHead(204, { allow: 'OPTIONS, POST' }).end()
          : response.writeHead(404).end(),
      'yes',
      /allows OPTIONS, POST/,
    ],
    [
      'knows neither',
      (_request, response) => response.writeHead(404).end(),
      'no',
      /openapi\.json answers HTTP 404, OPTIONS/,
    ],
    ['lets this token not ask', (_request, response) => response.writeHead(401).end(), 'unknown', /answers HTTP 401/],
  ])('of one that %s', async (_what, answers, has, seen) => {
    const { novamem, requests } = await service(answers);
    const support = await reindexSupport(novamem);
    expect(support.has).toBe(has);
    expect(support.seen).toMatch(seen);
    expect(requests.filter((request) => request.startsWith('POST'))).toEqual([]);
  });

  test('is remembered of one that was asked before it was stopped, and unknown of one that never was', async () => {
    const { novamem, stop } = await service(describing({ [REINDEX]: { post: {} } }));
    await reindexSupport(novamem);
    stop();
    expect(await reindexSupport(novamem)).toMatchObject({
      has: 'yes',
      seen: expect.stringMatching(/before it was stopped/),
    });
    const other = new Novamem({ url: novamem.address });
    expect(await reindexSupport(other)).toMatchObject({
      has: 'unknown',
      seen: expect.stringMatching(/ECONNREFUSED/),
    });
  });
});

describe('starting it', () => {
  const open = openGateway(() => {});

  test.each([
    [202, 'yes'],
    [200, 'yes'],
    [409, 'unanswered'],
    [504, 'unanswered'],
  ])('an answer of HTTP %i: taken %s', async (status, taken) => {
    const { novamem, requests } = await service((_request, response) => response.writeHead(status).end('{}'));
    expect(await startReindex(open, novamem)).toMatchObject({ taken });
    expect(requests).toEqual([`POST ${REINDEX}`]);
  });

  test.each([404, 401, 500])('an answer of HTTP %i is an error: nothing was started', async (status) => {
    const { novamem } = await service((_request, response) => response.writeHead(status).end('{}'));
    await expect(startReindex(open, novamem)).rejects.toThrow(`answered HTTP ${status} {}: nothing was started`);
  });

  test('an answer that never comes is not sent a second time', async () => {
    const { novamem, requests } = await service((request) => request.socket.destroy());
    expect(await startReindex(open, novamem)).toMatchObject({ taken: 'unanswered' });
    expect(requests).toHaveLength(1);
  });

  test('goes through the gateway', async () => {
    const { novamem, requests } = await service((_request, response) => response.end('{}'));
    await expect(startReindex(closedGateway(), novamem)).rejects.toThrow(GatewayRefusal);
    expect(requests).toEqual([]);
  });
});
