import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll } from 'vitest';

/** A proxy before a real server that loses the answers to uploads and to recoveries from the server's own disk: the server gets the whole request, the client none of its answer. */
export interface LosingProxy {
  url: string;
  /** `cut`: the connection breaks once all was sent. `gave up`: 504, as proxies answer when they wait no longer. */
  behaviour: 'cut' | 'gave up';
  /** How many further uploads lose their answer. */
  loses: number;
  /** Answers 404 to /metrics, as a server without these metrics. */
  hidesMetrics: boolean;
  /** Uploads that went through, and how many of them came while the server was still at another. */
  uploads: number;
  overlapping: number;
}

const servers: http.Server[] = [];

afterAll(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

const ALL_SENT_MS = 20;

export async function losingProxy(target: string): Promise<LosingProxy> {
  const proxy: LosingProxy = { url: '', behaviour: 'cut', loses: 0, hidesMetrics: false, uploads: 0, overlapping: 0 };
  let atWork = 0;
  const server = http.createServer((request, response) => {
    const { method, headers, url = '/' } = request;
    if (proxy.hidesMetrics && url === '/metrics') return void response.writeHead(404).end();
    const isUpload = /\/snapshots\/(upload|recover)\?/.test(url);
    const isLost = isUpload && proxy.loses > 0;
    if (isLost) proxy.loses -= 1;
    if (isUpload) {
      proxy.uploads += 1;
      if (atWork > 0) proxy.overlapping += 1;
      atWork += 1;
    }
    const onward = http.request(target + url, { method, headers, agent: false }, (answer) => {
      if (isUpload) atWork -= 1;
      if (isLost) return void answer.resume();
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
    if (isLost)
      onward.on('finish', () =>
        setTimeout(() => {
          if (proxy.behaviour === 'cut') response.destroy();
          else response.writeHead(504, { 'content-type': 'text/html' }).end('<h1>504 Gateway Time-out</h1>');
        }, ALL_SENT_MS),
      );
  });
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  proxy.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return proxy;
}
