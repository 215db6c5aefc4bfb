// A stand-in for `systemctl`, `journalctl` and `sudo`: a unit is one real process. Output in the shapes of systemd 252.
import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { begin, beginLater, change, end, fail, isAlive, lastLines, readState, record } from './processes.mjs';

const [program, ...args] = process.argv.slice(2);
record(program, args);
const { behaves, services } = readState();

if (program === 'sudo') sudo();
else if (behaves === 'no-systemd')
  fail(
    "System has not been booted with systemd as init system (PID 1). Can't operate.\nFailed to connect to bus: Host is down",
  );
else if (program === 'journalctl') for (const line of lastLines(args[1], 20)) console.log(line);
else await systemctl(args.filter((arg) => arg !== '--user'));

function sudo() {
  if (behaves === 'no-sudo') fail('sudo: a password is required');
  const rest = args.filter((arg) => arg !== '-n');
  if (rest[0] === '--list') return console.log(`/usr/bin/${rest.slice(1).join(' ')}`);
  const { status } = spawnSync(rest[0], rest.slice(1), { stdio: 'inherit', env: { ...process.env, AS_ROOT: '1' } });
  process.exitCode = status;
}

async function systemctl([verb, ...rest]) {
  if (verb === 'is-active') {
    for (const unit of rest) console.log(services[unit]?.active ?? 'inactive');
    process.exit(3);
  }
  const unit = rest.at(-1);
  const service = services[unit];
  if (verb === 'show') return show(rest[0].replace('--property=', '').split(','), service);
  if (verb === 'status') return console.log(lastLines(unit, 10).join('\n'));
  if (behaves === 'denied' && !process.env.AS_ROOT)
    fail(
      `Failed to ${verb} ${unit}: Interactive authentication required.\nSee system logs and 'systemctl status ${unit}' for details.`,
    );
  if (!service) fail(`Failed to ${verb} ${unit}: Unit ${unit} not found.`, 5);
  if (verb === 'stop' || verb === 'restart') {
    if (service.behaves !== 'stays') await end(unit);
    else await sleep(600_000);
    change((state) => {
      state.services[unit].stopped = true;
    });
    if (service.behaves === 'comes-back') beginLater(unit, 600);
  }
  if (verb === 'start' || verb === 'restart') {
    change((state) => {
      state.services[unit].stopped = false;
    });
    begin(unit);
    if (service.behaves === 'fails') {
      while (isAlive(readState().services[unit].runs.at(-1).pid)) await sleep(20);
      fail(
        `Job for ${unit} failed because the control process exited with error code.\nSee "systemctl status ${unit}" and "journalctl -xeu ${unit}" for details.`,
      );
    }
  }
}

function show(names, service) {
  if (behaves === 'garbage') return console.log('Segmentation fault');
  const run = service?.runs.at(-1);
  const running = run !== undefined && isAlive(run.pid);
  const failed = run !== undefined && !running && !service.stopped;
  const again = failed && service.behaves === 'restarts';
  const values = {
    LoadState: service ? (service.load ?? 'loaded') : 'not-found',
    ActiveState: running ? (service.active ?? 'active') : again ? 'activating' : failed ? 'failed' : 'inactive',
    SubState: running ? 'running' : again ? 'auto-restart' : failed ? 'failed' : 'dead',
    MainPID: running ? run.pid : 0,
    Result: failed ? 'exit-code' : 'success',
    ExecMainStatus: failed ? 3 : 0,
    NRestarts: service?.restarts ?? 0,
    Restart: service?.policy ?? 'no',
    TriggeredBy: service?.triggeredBy ?? '',
    InvocationID: run ? String(run.id).padStart(32, '0') : '',
  };
  // As the real one: in an order of its own, with a property that it does not know left out.
  for (const name of [...names].reverse()) if (name in values) console.log(`${name}=${values[name]}`);
}
