import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { exists } from '../../hosts/files.js';
import { isAlive, markOf } from '../../hosts/process-mark.js';
import { messageOf } from '../../words.js';
import { majorOf, readControlData } from '../postgres/control-data.js';
import { lookedAt, notLookedAt, type Place, type Source } from './source.js';

/** Looks at the profile's data directory and at others that lie beside it. `start`: how its server is started. */
export async function lookAtDataDirectories(dataDir: string, start: string | undefined): Promise<Place> {
  const beside = dirname(dataDir);
  try {
    const sources: Source[] = [];
    for (const name of await readdir(beside).catch(() => [] as string[])) {
      const folder = join(beside, name);
      if (name !== basename(dataDir) && (await majorOf(folder)) !== undefined)
        sources.push(await otherDirectory(folder));
    }
    if ((await majorOf(dataDir)) !== undefined) sources.unshift(await ownDirectory(dataDir, start));
    else if (!(await exists(dataDir)))
      sources.unshift({ what: 'data directory', where: dataDir, facts: 'it is gone', worth: 'none' });
    else
      sources.unshift({
        what: 'data directory',
        where: dataDir,
        facts: 'it is there, but it has no PG_VERSION: it is empty, or what is left of it cannot be started',
        worth: 'none',
      });
    return lookedAt(dataDir, sources);
  } catch (error) {
    return notLookedAt(dataDir, messageOf(error));
  }
}

/** The process that serves a data directory, as its lock file says; undefined where none runs. */
export async function servedBy(dataDir: string): Promise<number | undefined> {
  const text = await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => '');
  const pid = Number.parseInt(text, 10);
  if (!(pid > 0) || !isAlive(markOf(pid))) return undefined;
  // A lock file that was left behind may name a process of somebody else by now.
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'postgres');
  return /postgres|postmaster/.test(name) ? pid : undefined;
}

async function ownDirectory(dataDir: string, start: string | undefined): Promise<Source> {
  const source = { what: 'data directory', where: dataDir };
  const pid = await servedBy(dataDir);
  const control = await readControlData(dataDir).catch((error: unknown) => messageOf(error));
  if (typeof control === 'string') return { ...source, facts: `pg_controldata: ${control}`, worth: 'none' };
  if (control.fault) return { ...source, facts: `its control file is damaged: ${control.fault}`, worth: 'none' };
  const state = `"${control.state}", last checkpoint ${control.checkpointAt}`;
  if (pid !== undefined) return { ...source, facts: `${state}; served by process ${pid}`, worth: 'none' };
  const clean = /^shut down/.test(control.state);
  return {
    ...source,
    facts: `${state}; no server runs on it${clean ? ', and it was shut down properly' : ''}`,
    // One that was only stopped is no loss at all.
    worth: clean ? 'good' : 'perhaps',
    next: start
      ? `start it, and look first whether anything is lost: ${start}`
      : 'start it, and look first whether anything is lost',
  };
}

async function otherDirectory(folder: string): Promise<Source> {
  const control = await readControlData(folder).catch((error: unknown) => messageOf(error));
  const facts =
    typeof control === 'string'
      ? `pg_controldata: ${control}`
      : control.fault ||
        `"${control.state}", last checkpoint ${control.checkpointAt}, system ${control.systemIdentifier}`;
  return {
    what: 'another data directory',
    where: folder,
    facts,
    worth: 'perhaps',
    next: `if it is of novamem: put it into postgres.dataDir of a profile, and plan postgres-lost-no-backup with that`,
  };
}
