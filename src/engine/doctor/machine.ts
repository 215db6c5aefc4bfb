import { accessSync, constants, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { homeFolder } from '../../config/home.js';
import type { Profile } from '../../config/profile.js';
import { freeBytes } from '../../hosts/files.js';
import { findProgram } from '../../hosts/find-program.js';
import { type Observation, observing } from '../../stores/observations/observation.js';
import { installations } from '../../stores/postgres/tools.js';
import { messageOf, sizeOf } from '../../words.js';

/** Runs are recorded, and safety copies kept there. */
const LITTLE_ROOM = 1024 ** 3;

/** What this machine has of what recoveries, drills and lessons need. `sandbox` finds the servers of a throw-away cluster, or rejects. */
export async function observeMachine(
  profile: Profile | undefined,
  sandbox: () => Promise<unknown>,
): Promise<Observation[]> {
  const look = observing('this machine');
  look.ok(`Node ${process.versions.node} on ${process.platform} ${process.arch}`);
  observeHome(look, homeFolder());
  for (const root of (profile?.backups ?? []).filter((one) => !one.includes('://'))) await observeRoot(look, root);
  if (existsSync(homeFolder())) await observeRoom(look, homeFolder());
  const tools = await installations();
  if (tools.length === 0)
    look.block(
      'pg_dump and pg_restore are not here: Postgres can be neither backed up nor restored',
      "install the PostgreSQL client programs of the server's version: apt-get install postgresql-client, or brew install libpq",
    );
  else look.ok(`PostgreSQL programs: ${tools.map(({ version, bin }) => `${version} in ${bin}`).join(', ')}`);
  for (const { program, why } of programsFor(profile)) {
    if (await findProgram(program)) look.ok(`${program} is here, ${why}`);
    else look.block(`${program} is not on the PATH, ${why}`, `install ${program}, or correct the profile`);
  }
  await sandbox().then(
    () => look.ok('the servers of a throw-away cluster are here: drills, lessons and the demo can run'),
    (error: unknown) =>
      look.warn(
        `no throw-away cluster can be started, so no drill, lesson or demo (recoveries need none): ${messageOf(error)}`,
        error instanceof Error && 'next' in error ? String(error.next) : 'install what it says',
      ),
  );
  observeTerminal(look);
  return look.found;
}

type Look = ReturnType<typeof observing>;

function observeHome(look: Look, home: string): void {
  let there = home;
  while (!existsSync(there) && dirname(there) !== there) there = dirname(there);
  try {
    accessSync(there, constants.W_OK | constants.X_OK);
    look.ok(`what is recorded goes to ${home}`);
  } catch (error) {
    look.block(
      `nothing can be recorded in ${home}: ${messageOf(error)}`,
      'set NOVAMEM_RUNBOOK_HOME to a folder that can be written',
    );
  }
}

async function observeRoom(look: Look, folder: string): Promise<void> {
  const free = await freeBytes(folder);
  if (free < LITTLE_ROOM)
    look.warn(
      `${sizeOf(free)} are free in ${folder}: safety copies may not fit`,
      'free some there, or keep what this program keeps on a larger disk: NOVAMEM_RUNBOOK_HOME=/a/folder',
    );
  else look.ok(`${sizeOf(free)} are free in ${folder}`);
}

async function observeRoot(look: Look, root: string): Promise<void> {
  try {
    accessSync(root, constants.R_OK | constants.W_OK | constants.X_OK);
    look.ok(`the backup root ${root} can be written, ${sizeOf(await freeBytes(root))} free`);
  } catch (error) {
    look.block(
      `the backup root ${root} cannot be used: ${messageOf(error)}`,
      `mount or make it, and let this user write there: mkdir -p ${root}`,
    );
  }
}

/** The vendors' programs by which this profile's services are driven and its hosts reached. */
function programsFor(profile: Profile | undefined): { program: string; why: string }[] {
  if (!profile) return [];
  const needed = new Map<string, Set<string>>();
  const need = (program: string, service: string) =>
    void needed.set(program, (needed.get(program) ?? new Set()).add(service));
  for (const [service, host] of Object.entries(profile.hosts)) {
    if (!host) continue;
    if ('ssh' in host && host.ssh !== undefined) need('ssh', service);
    else if ('compose' in host) need('docker', service);
    else if ('kubernetes' in host) need('kubectl', service);
  }
  const away = new Set(needed.get('ssh'));
  for (const [service, settings] of Object.entries(profile.services)) {
    // Behind ssh it is the other machine that has it.
    if (!settings || away.has(service)) continue;
    const program = { compose: 'docker', systemd: 'systemctl', kubernetes: 'kubectl' }[settings.driver as string];
    if (program) need(program, service);
  }
  return [...needed].map(([program, services]) => ({ program, why: `for ${[...services].join(', ')}` }));
}

function observeTerminal(look: Look): void {
  const locale = process.env.LC_ALL || process.env.LC_CTYPE || process.env.LANG || '';
  if (/utf-?8/i.test(locale)) look.ok(`the locale is ${locale}`);
  else
    look.warn(
      `the locale is ${locale || 'not set'}, without UTF-8: lines and marks of the screens may look broken`,
      'export LC_ALL=C.UTF-8',
    );
  if (['', 'dumb', undefined].includes(process.env.TERM))
    look.warn(
      'TERM names no terminal: the screens are told line by line',
      'export TERM=xterm-256color, where it is one',
    );
}
