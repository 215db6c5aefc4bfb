import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { afterAll } from 'vitest';
import type { Certificate } from './certificates.js';

/** A port that shakes hands with a certificate, and notes what it is then told. */
export interface TlsFront {
  port: number;
  /** What came in after a handshake: where the certificate is not to be trusted, this must stay empty. */
  readonly heard: Buffer[];
}

const fronts: net.Server[] = [];

afterAll(() => {
  for (const front of fronts.splice(0)) front.close();
});

/** The certificate of a server before a store that is never reached: who verifies goes no further. */
export async function tlsFront({ certFile, keyFile }: Certificate): Promise<TlsFront> {
  const heard: Buffer[] = [];
  const front = tls.createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (socket) => {
    socket.on('data', (piece) => heard.push(piece)).on('error', () => {});
  });
  front.on('tlsClientError', () => {});
  fronts.push(front);
  const port = await listening(front);
  return { port, heard };
}

/** A port that ends TLS and passes on in plain, as a proxy before a service does. */
export async function tlsProxy({ certFile, keyFile }: Certificate, target: number): Promise<number> {
  const options = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
  const proxy = tls.createServer(options, (client) => {
    const onward = net.connect(target, '127.0.0.1');
    client.on('error', () => onward.destroy()).pipe(onward);
    onward.on('error', () => client.destroy()).pipe(client);
  });
  proxy.on('tlsClientError', () => {});
  fronts.push(proxy);
  return listening(proxy);
}

function listening(server: net.Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as net.AddressInfo).port));
  });
}

const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/** What a Postgres server answers to the question for TLS: the CN of the certificate that it shows, or `plain`. */
export function shownByPostgres(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(SSL_REQUEST));
    socket.on('error', reject);
    socket.once('data', (answer) => {
      if (answer.toString() !== 'S') {
        socket.destroy();
        resolve('plain');
        return;
      }
      const secure = tls.connect({ socket, rejectUnauthorized: false }, () => {
        resolve(String(secure.getPeerCertificate().subject.CN));
        secure.destroy();
      });
      secure.on('error', reject);
    });
  });
}
