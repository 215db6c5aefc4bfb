import net from 'node:net';
import tls from 'node:tls';
import type { Pem } from './pem-files.js';

// After a connection has broken: what speaks at that port. Nothing is sent but greetings, and no secret.

const PATIENCE_MS = 1_500;
/** An alert of the server comes after the handshake is done. */
const ALERT_MS = 300;

/** `tls`: it agrees on TLS. `plain`: something else answers. `alert`: it refuses this client, by this code. `nothing`: it does not answer. */
export type Spoken = { speaks: 'tls' | 'plain' | 'nothing' } | { speaks: 'alert'; code: string };

/** Shakes hands and hangs up. Whom it shook hands with is not asked: nothing is believed of it but that it speaks TLS. */
export function lookAtTls(host: string, port: number, pem: Pem): Promise<Spoken> {
  return new Promise((resolve) => {
    const { cert, key } = pem;
    const socket = tls.connect({
      host,
      port,
      ...(cert && key ? { cert, key } : {}),
      ...(net.isIP(host) ? {} : { servername: host }),
      rejectUnauthorized: false,
    });
    let hasAgreed = false;
    const end = (spoken: Spoken) => {
      socket.destroy();
      resolve(spoken);
    };
    const given = () => end({ speaks: hasAgreed ? 'tls' : 'nothing' });
    socket.setTimeout(PATIENCE_MS, given);
    socket.once('secureConnect', () => {
      hasAgreed = true;
      setTimeout(given, ALERT_MS).unref();
    });
    socket.on('error', ({ code = '' }: NodeJS.ErrnoException) => {
      if (/ALERT/.test(code)) end({ speaks: 'alert', code });
      else if (/^ERR_SSL_|^EPROTO$/.test(code)) end({ speaks: 'plain' });
      else given();
    });
    socket.once('close', given);
  });
}

/** Whether a Redis server without TLS answers there; it would wait for the end of what it takes for a command. */
export function lookAtPlainRedis(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port }, () => socket.write('PING\r\n'));
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(PATIENCE_MS, () => end(false));
    socket.once('data', (first) => end(/^[+-]/.test(first.toString('latin1'))));
    socket.on('error', () => end(false)).once('close', () => end(false));
  });
}
