import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sizeOfTree } from '../../hosts/copy-tree.js';
import { plural, sizeOf } from '../../words.js';
import { remember } from '../remember.js';
import { type Disaster, type Scene, start, stop } from './disaster.js';

/** What of the small disk is left for Postgres to start with, before it is filled. */
const ROOM = 48 << 20;
const MOST_WRITTEN = 2_000;
const PIECE = 64 << 10;
/** What fills it: nothing of it belongs to Postgres. */
export const BALLAST = 'core.dump';

/** Mounts a disk in memory over a folder. Why it could not be done, empty where it was. */
function mountDisk(folder: string, options: string): string {
  const { status, stderr, error } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], {
    encoding: 'utf8',
  });
  return status === 0 ? '' : (error?.message ?? stderr).trim() || `mount ended with ${status}`;
}

let tried: { why: string | undefined } | undefined;

/** Root in a container often may not mount either, which only a try shows. It is tried once. */
function whyNoSmallDisk(): string | undefined {
  tried ??= { why: process.getuid?.() === 0 ? whyNotMounted() : 'a small disk can only be mounted as root' };
  return tried.why;
}

function whyNotMounted(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'novamem-runbook-small-disk-'));
  try {
    const refused = mountDisk(folder, 'size=64k');
    if (refused !== '') return `a small disk cannot be mounted: ${refused}`;
    const { status, stderr } = spawnSync('umount', [folder], { encoding: 'utf8' });
    return status === 0 ? undefined : `a small disk cannot be unmounted: ${stderr.trim()}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const diskFull: Disaster = {
  id: 'disk-full',
  title: 'The disk under Postgres is full of something that is not its own; nothing is lost',
  scenario: 'cross-check',
  pager: 'Postgres: could not write: No space left on device',
  users: 'Nothing can be remembered any more; searching still works.',
  before: ['backup'],
  impossible: whyNoSmallDisk,
  async strike(scene) {
    const data = scene.places.postgresData;
    const { uid, gid, mode } = statSync(data);
    const { bytes } = await sizeOfTree(data);
    await stop(scene, 'postgres');
    const aside = `${data}-before-the-small-disk`;
    renameSync(data, aside);
    mkdirSync(data, { mode: 0o700 });
    const refused = mountDisk(data, `size=${bytes + ROOM},mode=${(mode & 0o777).toString(8)},uid=${uid},gid=${gid}`);
    if (refused !== '') {
      rmSync(data, { recursive: true });
      renameSync(aside, data);
      await start(scene, 'postgres');
      throw new Error(`no small disk can be mounted here: ${refused}`);
    }
    execFileSync('cp', ['-aT', aside, data]);
    rmSync(aside, { recursive: true });
    await start(scene, 'postgres');
    const filled = fill(join(data, BALLAST));
    const written = await writeUntilRefused(scene);
    return [
      `${plural(written, 'memory', 'memories')} still found room in what Postgres had taken before; then it refused to write`,
      `Postgres lies on a disk of ${sizeOf(bytes + ROOM)}, and ${filled} of it are a ${BALLAST}`,
    ];
  },
};

/** What a table and the log have taken already is used up first. Answers how many memories that were. */
async function writeUntilRefused({ profile }: Scene): Promise<number> {
  for (let written = 0; written < MOST_WRITTEN; written += 1)
    try {
      await remember(profile, [`is there still room for memory ${written + 1}?`]);
    } catch {
      return written;
    }
  throw new Error('Postgres goes on writing on a disk that is full');
}

/** Takes all the room that is left. Answers how much it was. */
function fill(file: string): string {
  const descriptor = openSync(file, 'w', 0o600);
  const piece = Buffer.alloc(PIECE, 1);
  let bytes = 0;
  try {
    for (;;) bytes += writeSync(descriptor, piece);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(descriptor);
  }
  return sizeOf(bytes);
}
