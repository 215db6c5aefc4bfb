import { z } from 'zod';
import type { ServiceName, ServiceSettings } from '../../config/profile.js';
import type { Command } from '../command.js';
import { byEitherName, composeWords, isComposeKnown, WITHOUT_COMPOSE } from '../compose-program.js';
import type { Host } from '../host.js';
import type { ServiceDriver, ServiceFinding, ServiceLook } from './driver.js';
import { type Vendor, vendorDriver } from './vendor-driver.js';
import { type Fault, VendorProgram } from './vendor-program.js';

type Settings = Extract<ServiceSettings, { driver: 'compose' }>;

/** A database may have much to write before it ends: Docker's own patience is 10 s, and then it kills. */
const STOP_SECONDS = 300;
const COMMAND_PATIENCE = (STOP_SECONDS + 30) * 1000;

const container = z.object({
  Id: z.string(),
  Name: z.string(),
  State: z.object({
    Status: z.string(),
    Running: z.boolean(),
    Restarting: z.boolean().default(false),
    OOMKilled: z.boolean().default(false),
    Error: z.string().default(''),
    ExitCode: z.number(),
    StartedAt: z.string(),
    Health: z.object({ Status: z.string() }).nullish(),
  }),
  RestartCount: z.number().default(0),
  HostConfig: z.object({ RestartPolicy: z.object({ Name: z.string() }).nullish() }),
});
type Container = z.infer<typeof container>;

/** A service of Docker Compose. It is started as it was made: a Compose file that has changed since makes no other container of it. */
export function composeDriver(name: ServiceName, settings: Settings, host: Host): ServiceDriver {
  const { project, service } = settings;
  const compose = (...args: string[]): Command => {
    const [file, ...words] = composeWords(host.title, project);
    return { file, args: [...words, ...args] };
  };
  const faults = faultsOf(name, settings, () => program.shown(compose('config', '--services')));
  const program = new VendorProgram(name, host, faults, COMMAND_PATIENCE);

  const idsOf = async (): Promise<string[]> => {
    const list = () => compose('ps', '--all', '--quiet', service);
    const answer = await byEitherName(
      host.title,
      () => program.attempt(list()),
      ({ exitCode, stderr, failure }) => (exitCode === 0 ? '' : `${stderr}\n${failure}`),
    );
    if (answer.exitCode !== 0) throw program.problem(list(), answer, answer.stderr || answer.stdout);
    const ids = answer.stdout.split('\n').filter((line) => line.trim() !== '');
    const wrong = ids.find((id) => !/^[0-9a-f]{12,64}$/.test(id));
    if (wrong !== undefined) throw program.strange(list(), answer.stdout, 'not the id of a container');
    return ids;
  };

  const containersNow = async (): Promise<Container[]> => {
    const ids = await idsOf();
    if (ids.length === 0) return [];
    const inspect: Command = { file: 'docker', args: ['container', 'inspect', ...ids] };
    const printed = await program.ask(inspect);
    try {
      return z.array(container).parse(JSON.parse(printed));
    } catch {
      throw program.strange(inspect, printed, 'not a list of containers');
    }
  };

  const commands: Vendor['lasting'] = (verb) => [
    verb === 'start'
      ? compose('up', '--detach', '--no-deps', '--no-recreate', service)
      : compose(verb, '--timeout', String(STOP_SECONDS), service),
  ];

  const vendor: Vendor = {
    async look() {
      let found: Container[];
      try {
        found = await containersNow();
      } catch (error) {
        // One that was just removed is named by the first command, and unknown to the second.
        if (!/No such container/i.test(String(error))) throw error;
        found = await containersNow();
      }
      return lookOf(settings, found, program);
    },
    lasting: commands,
    async commands(verb) {
      if (!isComposeKnown(host.title)) await idsOf();
      return commands(verb);
    },
    status: () => compose('ps', '--all', service),
    logs: () => [compose('logs', '--no-color', '--tail', '20', service)],
    // Whoever may ask Docker may do all.
    rights: async () => [],
  };
  return vendorDriver(program, vendor);
}

function lookOf({ service, project }: Settings, containers: Container[], program: VendorProgram): ServiceLook {
  const running = containers.filter(({ State }) => State.Running || State.Restarting);
  const isReady = ({ State }: Container) =>
    State.Status === 'running' && [undefined, 'none', 'healthy'].includes(State.Health?.Status);
  return {
    state: running.length > 0 ? 'running' : 'stopped',
    ready: running.length > 0 && running.every(isReady),
    seen: containers.length === 0 ? `${service} of ${project} has no container` : containers.map(seenOf).join('; '),
    instances: running.map(({ Id, State }) => `${Id}@${State.StartedAt}`),
    revivers: running.flatMap((one) => reviversOf(one, program)),
  };
}

function seenOf({ Name, State, RestartCount }: Container): string {
  const ended = !State.Running || State.Restarting;
  const more = [
    ...(State.Health ? [`health: ${State.Health.Status}`] : []),
    ...(ended ? [`exit code ${State.ExitCode}`] : []),
    ...(State.OOMKilled ? ['it had no memory left: OOMKilled'] : []),
    ...(State.Error === '' ? [] : [State.Error]),
    ...(RestartCount > 0 ? [`restarted ${RestartCount} times`] : []),
  ];
  return `container ${Name.replace(/^\//, '')} is ${State.Status}${more.length > 0 ? ` (${more.join(', ')})` : ''}`;
}

function reviversOf({ Id, Name, HostConfig }: Container, program: VendorProgram): ServiceFinding[] {
  const policy = HostConfig.RestartPolicy?.Name ?? 'no';
  if (policy === 'no' || policy === '') return [];
  const update: Command = { file: 'docker', args: ['update', '--restart=no', Id.slice(0, 12)] };
  return [
    {
      level: 'info',
      message: `Docker starts the container ${Name.replace(/^\//, '')} again when it ends by itself (restart: ${policy}), not after it was stopped`,
      next: `should it come back all the same: see who starts it (docker events; a watcher, a unit of systemd, cron), and stop that; or: ${program.shown(update)}`,
    },
  ];
}

function faultsOf(name: ServiceName, { project }: Settings, services: () => string): Fault[] {
  return [
    {
      says: /permission denied.*(docker\.sock|docker API|Docker daemon)/is,
      next: `run this as a user of the group docker (sudo usermod -aG docker $USER, then log in anew), or name such a user in hosts.${name}: { ssh: … }`,
    },
    {
      says: /cannot connect to the docker daemon|error during connect|failed to connect to the docker API/i,
      next: 'start Docker (sudo systemctl start docker), or set DOCKER_HOST or the context that leads to it; then: docker info',
    },
    {
      says: WITHOUT_COMPOSE,
      next: 'install Docker Compose there (docker compose version must answer)',
    },
    {
      says: /no such service/i,
      get next() {
        return `set services.${name}.service in the profile to one of those that this names: ${services()}`;
      },
    },
    {
      says: /no configuration file provided|can't find a suitable configuration file|no such file or directory|not a directory/i,
      next: `set services.${name}.project in the profile to the folder of the Compose file, or to that file (it is ${project})`,
    },
  ];
}
