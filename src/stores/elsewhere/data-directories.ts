import { basename, dirname, join } from 'node:path';
import { HERE, type Host } from '../../hosts/host.js';
import { messageOf } from '../../words.js';
import { majorOf, readControlData } from '../postgres/control-data.js';
import { BEFORE_INSIDE, keptInside } from '../postgres/kept-inside.js';
import { servedBy } from '../postgres/served-by.js';
import { lookedAt, notLookedAt, type Place, type Source } from './source.js';

/** Looks at the profile's data directory and at others that lie beside it, or that a recovery has kept in it, on the server's host. `start`: how its server is started. */
export async function lookAtDataDirectories(
  dataDir: string,
  start: string | undefined,
  host: Host = HERE,
): Promise<Place> {
  const beside = dirname(dataDir);
  const place = host.here ? dataDir : `${dataDir} on ${host.title}`;
  const { files } = host;
  try {
    const sources: Source[] = [];
    for (const { name, kind } of (await files.exists(beside)) ? await files.list(beside) : []) {
      const folder = join(beside, name);
      if (name === basename(dataDir) || !['folder', 'link'].includes(kind)) continue;
      if ((await majorOf(folder, files)) !== undefined) sources.push(await otherDirectory(folder, host));
    }
    for (const name of await keptInside(dataDir, files))
      if (name.startsWith(BEFORE_INSIDE) && (await majorOf(join(dataDir, name), files)) !== undefined)
        sources.push(await otherDirectory(join(dataDir, name), host));
    if ((await majorOf(dataDir, files)) !== undefined) sources.unshift(await ownDirectory(dataDir, start, host));
    else if (!(await files.exists(dataDir)))
      sources.unshift({ what: 'data directory', where: dataDir, facts: 'it is gone', worth: 'none' });
    else
      sources.unshift({
        what: 'data directory',
        where: dataDir,
        facts: 'it is there, but it has no PG_VERSION: it is empty, or what is left of it cannot be started',
        worth: 'none',
      });
    return lookedAt(place, sources);
  } catch (error) {
    return notLookedAt(place, messageOf(error));
  }
}

async function ownDirectory(dataDir: string, start: string | undefined, { files }: Host): Promise<Source> {
  const source = { what: 'data directory', where: dataDir };
  const pid = await servedBy(dataDir, files);
  const control = await readControlData(dataDir, undefined, files).catch((error: unknown) => messageOf(error));
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

async function otherDirectory(folder: string, { files }: Host): Promise<Source> {
  const control = await readControlData(folder, undefined, files).catch((error: unknown) => messageOf(error));
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
