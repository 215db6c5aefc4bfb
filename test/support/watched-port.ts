import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll } from 'vitest';

/** A port before a real server, at which everything passes unchanged until words go by that somebody waits for. */
export interface WatchedPort {
  port: number;
  /**
   * Acts once, when a client sends these words for the so manieth time. `before` they reach the server, which gets them only
   * after the act; or when it has `answered` them, and the answer is lost: both ends of that connection are cut.
   */
  once(words: string, act: () => unknown, more?: { time?: number; when?: 'before' | 'answered' }): Awaited;
  /** Whatever is still waited for is given up. */
  forget(): void;
}

export interface Awaited {
  happened: boolean;
}

interface Moment extends Awaited {
  words: string;
  act: () => unknown;
  left: number;
  when: 'before' | 'answered';
}

const servers: { server: Server; sockets: Set<Socket> }[] = [];

afterAll(() => {
  for (const { server, sockets } of servers.splice(0)) {
    server.close();
    for (const socket of sockets) socket.destroy();
  }
});

export async function watchedPort(target: number): Promise<WatchedPort> {
  const moments: Moment[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const onward = connect(target, '127.0.0.1');
    const both = [client, onward];
    let tail = '';
    let awaited: Moment | undefined;
    const cut = () => {
      for (const socket of both) socket.destroy();
    };
    const meet = async (moment: Moment) => {
      if (moment.happened) return;
      moment.happened = true;
      await moment.act();
    };
    for (const socket of both) {
      sockets.add(socket);
      socket.on('error', cut).on('close', () => {
        sockets.delete(socket);
        cut();
      });
    }
    client.on('data', async (chunk: Buffer) => {
      client.pause();
      const text = tail + chunk.toString('latin1');
      for (const moment of moments) {
        const from = Math.max(0, tail.length - moment.words.length + 1);
        if (moment.happened || !text.slice(from).includes(moment.words)) continue;
        moment.left -= 1;
        if (moment.left > 0) continue;
        if (moment.when === 'before') await meet(moment);
        else awaited = moment;
      }
      tail = text.slice(-200);
      if (!onward.write(chunk)) await new Promise((resolve) => onward.once('drain', resolve).once('close', resolve));
      client.resume();
    });
    onward.on('data', async (chunk: Buffer) => {
      if (awaited) {
        await meet(awaited);
        return cut();
      }
      if (client.write(chunk)) return;
      onward.pause();
      client.once('drain', () => onward.resume());
    });
  });
  servers.push({ server, sockets });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as { port: number }).port,
    once(words, act, { time = 1, when = 'before' } = {}) {
      const moment: Moment = { words, act, left: time, when, happened: false };
      moments.push(moment);
      return moment;
    },
    forget: () => void moments.splice(0),
  };
}
