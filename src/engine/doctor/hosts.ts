import { type Profile, SERVICE_TITLES, SERVICES, type ServiceName, STORES } from '../../config/profile.js';
import { NotReached } from '../../hosts/elsewhere/reaching.js';
import type { Host } from '../../hosts/host.js';
import { within } from '../../hosts/waiting.js';
import { nextOf } from '../../problem.js';
import { loadRunbook, scenarios } from '../../runbook/library.js';
import type { Cluster } from '../../stores/cluster.js';
import { type Observation, observing } from '../../stores/observations/observation.js';
import { messageOf, sizeOf } from '../../words.js';

/** A connection to a machine is given up after 10 s; a second way to it may be tried. */
const PATIENCE_MS = 30_000;
const LITTLE_ROOM = 1024 ** 3;

/** What is done with files there is done by these: a shell and busybox have them all. */
const FOR_FILES = [
  ...['sh', 'cat', 'chmod', 'chown', 'cp', 'df', 'dirname', 'head', 'id', 'mkdir', 'mv', 'readlink', 'rm'],
  ...['sha256sum', 'stat', 'sync', 'tail', 'tar', 'wc'],
];

/** By what a service is driven where its commands run. */
const PROGRAM_OF: Record<string, string> = { compose: 'docker', systemd: 'systemctl', kubernetes: 'kubectl' };

/** What the hosts of a profile have of what is done there: whether each is reached, its folder, its room, its programs. Reads only. */
export async function observeHosts(cluster: Cluster): Promise<Observation[]> {
  const named = SERVICES.filter((service) => cluster.profile.hosts[service] !== undefined);
  const looked = await Promise.all(
    named.map(async (service) => {
      const look = observing(`hosts.${service}`);
      await within(PATIENCE_MS, observeHost(look, service, cluster)).catch((error: unknown) =>
        look.block(messageOf(error), nextOf(error)),
      );
      const concerns = concerning(service);
      return look.found.map((one) => (one.level === 'ok' || concerns.length === 0 ? one : { ...one, concerns }));
    }),
  );
  return looked.flat();
}

type Look = ReturnType<typeof observing>;

async function observeHost(look: Look, service: ServiceName, cluster: Cluster): Promise<void> {
  const host = cluster.host(service);
  await observeDriving(look, service, host, cluster.profile);
  const { files, title } = host;
  try {
    look.ok(`${title} is reached, as its user ${await files.user()}`);
  } catch (error) {
    if (!(error instanceof NotReached)) throw error;
    if (error.stopped)
      return look.warn(
        `${title} does not run now: its folder and its programs can only be looked at while it does`,
        `start it, then ask the doctor again`,
      );
    const isSudo = /sudo: .*(password|not allowed|may not run)/i.test(error.message);
    return look.block(
      error.message,
      isSudo ? `let that user use sudo there without a password (visudo: USER ALL=(ALL) NOPASSWD: ALL)` : error.next,
    );
  }
  const missing = await files.missing(FOR_FILES);
  if (missing.length > 0)
    look.block(
      `${title} lacks ${missing.join(', ')}: files there can be neither read nor replaced`,
      'install them there (busybox or coreutils has them all), or take an image that has a shell',
    );
  else look.ok(`${title} has what files there are handled with`);
  const store = STORES.find((one) => one === service);
  const dataDir = store && cluster.profile[store].dataDir;
  if (dataDir !== undefined && missing.length === 0) await observeFolder(look, service, host, dataDir);
  const caution = await files.caution();
  if (caution !== '')
    look.warn(caution, 'where the others do not take their data from that one, scale it to 1 first');
}

/** What stops and starts it, on the machine where that is done. */
async function observeDriving(look: Look, service: ServiceName, host: Host, profile: Profile): Promise<void> {
  const { driven } = host;
  const program = PROGRAM_OF[profile.services[service]?.driver ?? ''];
  // What this machine needs is said of this machine.
  if (driven.here || program === undefined) return;
  // That it cannot be reached is said once.
  const missing = await driven.files.missing([program]).catch((): string[] => []);
  if (missing.length === 0) return;
  look.block(
    `${driven.title} has no ${program} on the PATH of a command without a login, by which services.${service} is stopped and started`,
    `install ${program} there, or correct services.${service} or hosts.${service} in the profile`,
  );
}

async function observeFolder(
  look: Look,
  service: ServiceName,
  { files, title }: Host,
  dataDir: string,
): Promise<void> {
  // Of Qdrant the room is all that is asked for.
  const isReplaced = service !== 'qdrant';
  const lacking = isReplaced ? look.block : look.warn;
  if (!(await files.exists(dataDir)))
    return lacking(
      `${dataDir} is not on ${title}`,
      `correct ${service}.dataDir or hosts.${service} in the profile: the folder as ${SERVICE_TITLES[service]} itself sees it`,
    );
  if (isReplaced) {
    if (await files.mayWrite(dataDir)) look.ok(`${dataDir} on ${title} can be written`);
    else
      look.block(
        `${dataDir} on ${title} cannot be written by its user ${await files.user()}`,
        `be the owner of that folder or root there: hosts: { ${service}: { ssh: …, sudo: true } } in the profile asks sudo -n`,
      );
  }
  const free = await files.freeBytes(dataDir);
  const said = `${sizeOf(free)} are free in ${dataDir} on ${title}`;
  if (free < LITTLE_ROOM) look.warn(`${said}: what is placed lies beside what is kept`, 'make room on that disk');
  else look.ok(said);
}

/** The scenarios that have a step which drives or changes a service. */
const concerning = (service: ServiceName): string[] =>
  scenarios().filter((scenario) =>
    loadRunbook(scenario).steps.some(
      ({ kind, params }) =>
        kind.kind.startsWith(`${service}.`) ||
        (kind.kind.startsWith('service.') && (params as { service?: string }).service === service),
    ),
  );
