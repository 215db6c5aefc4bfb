// A stand-in for `docker` and `docker-compose`: a container is one real process. Output in the shapes of Docker 28 and Compose 2.
import { createHash } from 'node:crypto';
import { begin, beginLater, change, end, fail, isAlive, lastLines, readState, record } from './processes.mjs';

const [program, ...args] = process.argv.slice(2);
record(program, args);
const { behaves, services } = readState();
const DAEMON = 'unix:///var/run/docker.sock';

const idOf = (name) => createHash('sha256').update(name).digest('hex');

if (behaves === 'daemon-down')
  fail(`Cannot connect to the Docker daemon at ${DAEMON}. Is the docker daemon running?`);
if (behaves === 'denied')
  fail(
    'permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.50/containers/json": dial unix /var/run/docker.sock: connect: permission denied',
  );

if (args[0] === 'container') inspect(args.slice(2));
else if (program === 'docker' && behaves === 'standalone')
  fail('unknown flag: --project-directory\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]', 125);
else await compose(program === 'docker' ? args.slice(1) : args);

/** Version 1 looks for its file where it is called, and is told one by --file only. */
async function compose(given) {
  const told = given[0].startsWith('--');
  const place = told ? given[1] : process.cwd();
  const [verb, ...rest] = told ? given.slice(2) : given;
  if (program === 'docker-compose' && given[0] === '--project-directory')
    fail("Can't find a suitable configuration file in this directory or any parent.", 1);
  if (place.includes('nowhere')) fail('no configuration file provided: not found', 14);
  if (verb === 'config') return console.log(Object.keys(services).join('\n'));
  const name = rest.at(-1);
  const service = services[name];
  if (!service) fail(`no such service: ${name}`);
  const container = `novamem-${name}-1`;
  switch (verb) {
    case 'ps':
      if (behaves === 'garbage') return console.log('<html>502 Bad Gateway</html>');
      return service.runs.length > 0 ? console.log(idOf(name)) : undefined;
    case 'up':
      process.stderr.write(` Container ${container}  Starting\n`);
      if (!service.runs.some(({ pid }) => isAlive(pid))) begin(name);
      process.stderr.write(` Container ${container}  Started\n`);
      return;
    case 'restart':
      await end(name);
      begin(name);
      return;
    case 'stop':
      process.stderr.write(` Container ${container}  Stopping\n`);
      if (service.behaves !== 'stays') await end(name);
      if (service.behaves === 'comes-back') beginLater(name, 600);
      process.stderr.write(` Container ${container}  Stopped\n`);
      return;
    case 'logs':
      for (const line of lastLines(name, 20)) console.log(`${name}-1  | ${line}`);
      return;
    default:
      fail(`unknown docker command: "compose ${verb}"`);
  }
}

function inspect(ids) {
  const found = ids.map((id) => Object.entries(services).find(([name]) => idOf(name) === id));
  console.log(
    JSON.stringify(
      found.map(([name, service]) => describe(name, service)),
      null,
      4,
    ),
  );
}

function describe(name, service) {
  const { pid, startedAt } = service.runs.at(-1);
  const running = isAlive(pid);
  const restarting = !running && service.behaves === 'crash-loop';
  if (restarting)
    change((state) => {
      state.services[name].restarts = (service.restarts ?? 0) + 1;
    });
  return {
    Id: idOf(name),
    Created: '2026-05-05T02:00:00.000000000Z',
    Path: service.command[0],
    State: {
      Status: running ? 'running' : restarting ? 'restarting' : 'exited',
      Running: running || restarting,
      Paused: false,
      Restarting: restarting,
      OOMKilled: false,
      Dead: false,
      Pid: running ? pid : 0,
      ExitCode: running ? 0 : (service.exitCode ?? 0),
      Error: '',
      StartedAt: startedAt,
      FinishedAt: '0001-01-01T00:00:00Z',
      ...(service.health ? { Health: { Status: service.health, FailingStreak: 0, Log: [] } } : {}),
    },
    Image: 'sha256:0000000000000000000000000000000000000000000000000000000000000000',
    Name: `/novamem-${name}-1`,
    RestartCount: service.restarts ?? 0,
    HostConfig: { RestartPolicy: { Name: service.policy ?? 'unless-stopped', MaximumRetryCount: 0 } },
  };
}
