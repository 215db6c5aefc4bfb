import net from 'node:net';
import { afterAll } from 'vitest';

/** What an HTTP request gets instead of the store's answer: raw bytes, after which the connection ends. */
export interface Instead {
  /** `GET /collections`: method and path of the requests that are meant. */
  to: RegExp;
  answer: Buffer | string;
  /** How many requests of these go through before. */
  after?: number;
  /** A request like this must have gone through before. */
  since?: RegExp;
}

/** What goes wrong between the program and a store. Byte counts are of one connection. */
export type Fault =
  /** Nothing listens. */
  | { kind: 'refuses' }
  /** Connections are taken, and not one byte ever comes. */
  | { kind: 'silent' }
  /** What the store says comes through as far as this, then nothing more, and the connection stays open. */
  | { kind: 'stalls'; after: number }
  /** What the store says drips. */
  | { kind: 'slow'; bytesPerSecond: number }
  /** The connection breaks (RST) once so many bytes went that way. */
  | { kind: 'resets'; after: number; of: 'answer' | 'request' }
  /** The store's side is closed after so many bytes (FIN) and goes on listening. */
  | { kind: 'half-closes'; after: number }
  /** Something that is no store at all says this to everybody. */
  | { kind: 'says'; bytes: Buffer | string }
  | ({ kind: 'answers' } & Instead);

/** A TCP proxy before one real store. Its fault can be changed at any time, and holds for what connects from then on. */
export interface FaultyProxy {
  port: number;
  /** `url` with this proxy's port. */
  url: string;
  /** Absent: everything goes through. */
  become(fault?: Fault): Promise<void>;
  /** How often the fault of now was met. */
  readonly met: number;
}

const open: { server: net.Server; sockets: Set<net.Socket> }[] = [];

afterAll(() => {
  for (const { server, sockets } of open.splice(0)) {
    server.close();
    for (const socket of sockets) socket.destroy();
  }
});

const TICK_MS = 20;

/** Writes what is added so many bytes a second, and ends the connection behind the last of them. */
function dripping(client: net.Socket, bytesPerSecond: number): { add(piece: Buffer): void; end(): void } {
  const each = Math.max(1, Math.round((bytesPerSecond * TICK_MS) / 1000));
  let waiting = Buffer.alloc(0);
  let isEnding = false;
  const timer = setInterval(() => {
    if (waiting.length > 0) client.write(waiting.subarray(0, each));
    waiting = waiting.subarray(each);
    if (isEnding && waiting.length === 0) client.end();
  }, TICK_MS);
  client.on('close', () => clearInterval(timer));
  return {
    add(piece) {
      waiting = Buffer.concat([waiting, piece]);
    },
    end() {
      isEnding = true;
    },
  };
}

/** How many bytes of a store's answer come through. */
function roomIn(fault: Fault | undefined): number {
  if (fault?.kind === 'stalls' || fault?.kind === 'half-closes') return fault.after;
  return fault?.kind === 'resets' && fault.of === 'answer' ? fault.after : Number.POSITIVE_INFINITY;
}

export async function faultyProxy(url: string): Promise<FaultyProxy> {
  const target = new URL(url);
  const sockets = new Set<net.Socket>();
  let fault: Fault | undefined;
  let met = 0;
  let passed = 0;
  let isSince = false;
  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    sockets.add(client);
    client.on('error', () => {}).on('close', () => sockets.delete(client));
    connect(client, fault);
  });
  open.push({ server, sockets });

  const connect = (client: net.Socket, now: Fault | undefined) => {
    if (now?.kind === 'silent') {
      met += 1;
      client.resume();
      return;
    }
    if (now?.kind === 'says') {
      met += 1;
      client.resume().end(now.bytes);
      return;
    }
    const drops = now?.kind === 'slow' ? dripping(client, now.bytesPerSecond) : undefined;
    const store = net.connect({ host: target.hostname, port: Number(target.port), allowHalfOpen: true });
    sockets.add(store);
    store.on('error', () => (drops ? drops.end() : client.destroy())).on('close', () => sockets.delete(store));
    client.on('close', () => store.destroy());
    let asked = 0;
    let answered = 0;
    let isOver = false;
    const breaks = () => {
      met += 1;
      isOver = true;
      client.resetAndDestroy();
      store.destroy();
    };
    client.on('data', (piece) => {
      if (isOver) return;
      const request = /^([A-Z]+ \S+) HTTP\/1\.1\r\n/.exec(piece.toString('latin1', 0, 2048))?.[1];
      if (now?.kind === 'answers' && request && now.since?.test(request)) isSince = true;
      if (now?.kind === 'answers' && request && now.to.test(request) && (isSince || !now.since)) {
        if (passed >= (now.after ?? 0)) {
          met += 1;
          isOver = true;
          client.end(now.answer);
          store.destroy();
          return;
        }
        passed += 1;
      }
      asked += piece.length;
      if (now?.kind === 'resets' && now.of === 'request' && asked > now.after) return breaks();
      if (!store.write(piece)) {
        client.pause();
        store.once('drain', () => client.resume());
      }
    });
    client.on('end', () => store.end());
    store.on('data', (piece) => {
      if (isOver) return;
      if (drops) {
        met += 1;
        return drops.add(piece);
      }
      const room = roomIn(now) - answered;
      answered += piece.length;
      if (piece.length <= room) return void client.write(piece);
      if (now?.kind === 'resets') return breaks();
      met += 1;
      isOver = true;
      client.write(piece.subarray(0, Math.max(0, room)));
      if (now?.kind === 'half-closes') client.end();
    });
    store.on('end', () => {
      if (drops) drops.end();
      else if (!isOver) client.end();
    });
  };

  const listen = (port: number) =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => {
        server.off('error', reject);
        resolve();
      });
    });
  await listen(0);
  const { port } = server.address() as net.AddressInfo;
  const own = new URL(url);
  own.port = String(port);
  return {
    port,
    url: own.href.replace(/\/$/, ''),
    get met() {
      return met;
    },
    async become(next) {
      fault = next;
      met = 0;
      passed = 0;
      isSince = false;
      for (const socket of sockets) socket.destroy();
      if (next?.kind === 'refuses' && server.listening) server.close();
      else if (next?.kind !== 'refuses' && !server.listening) await listen(port);
    },
  };
}

/** A whole HTTP answer, as a server or something before it would send it. */
export function httpAnswer(
  status: number,
  body: string | Buffer,
  more: { type?: string; length?: number } = {},
): Buffer {
  const bytes = Buffer.from(body);
  const head = [
    `HTTP/1.1 ${status} Answer`,
    `content-type: ${more.type ?? 'application/json'}`,
    `content-length: ${more.length ?? bytes.length}`,
    'connection: close',
  ];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), bytes]);
}

/** An error as Qdrant words it. */
export const qdrantError = (status: number, words: string) =>
  httpAnswer(status, JSON.stringify({ status: { error: words }, time: 0, result: null }));

/** An error as Postgres sends it before anybody is let in: severity, SQLSTATE, message. */
export function postgresError(state: string, words: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${state}\0M${words}\0\0`);
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}
