import { messageOf } from '../../words.js';
import type { FalkorDB } from '../falkordb/connection.js';
import { observeClock } from './clock.js';
import { type Observation, observing } from './observation.js';

/** What a recovery needs of a FalkorDB that answers: that what is written lasts, that it tells where, and the time. */
export async function observeFalkordb(falkordb: FalkorDB): Promise<Observation[]> {
  const look = observing('FalkorDB');
  await observeSettings(falkordb, look).catch((error: unknown) =>
    look.warn(
      `it does not tell its settings (${messageOf(error)}): where its files are, and in which form, is not known`,
      'let this login use CONFIG GET (ACL: +config|get)',
    ),
  );
  await observeClock(look, async () => {
    const [seconds, micros] = (await falkordb.read('TIME')) as [string, string];
    return new Date(Number(seconds) * 1000 + Number(micros) / 1000);
  });
  return look.found;
}

async function observeSettings(falkordb: FalkorDB, look: ReturnType<typeof observing>): Promise<void> {
  const config = await falkordb.config(
    'appendonly',
    'appendfsync',
    'aof-use-rdb-preamble',
    'save',
    'maxmemory',
    'maxmemory-policy',
  );
  if (config.appendonly === 'yes') look.ok(`every write is appended to its file (appendfsync ${config.appendfsync})`);
  else if (config.save !== '')
    look.warn(
      'appendonly is no: what was written since the last save is gone with the process',
      'CONFIG SET appendonly yes, and the same in its configuration file (never by placing files and a restart: it would start empty)',
    );
  else
    look.warn(
      'appendonly is no, and nothing is ever saved: the graph is gone with the process',
      'CONFIG SET appendonly yes, and the same in its configuration file',
    );
  if (config.appendonly === 'yes' && config['aof-use-rdb-preamble'] === 'no')
    look.warn(
      'aof-use-rdb-preamble is no: the server cannot write its file anew while it holds a graph',
      'CONFIG SET aof-use-rdb-preamble yes, and the same in its configuration file',
    );
  if (config.maxmemory !== '0' && config['maxmemory-policy'] !== 'noeviction')
    look.warn(
      `maxmemory-policy is ${config['maxmemory-policy']}: a graph that is larger than maxmemory is evicted as a whole`,
      'CONFIG SET maxmemory-policy noeviction, and the same in its configuration file',
    );
}
