import type { ServiceName, ServiceSettings } from '../../config/profile.js';
import { Problem } from '../../problem.js';
import type { Command } from '../command.js';
import type { Host } from '../host.js';
import type { ServiceDriver, ServiceFinding, ServiceLook } from './driver.js';
import { vendorDriver } from './vendor-driver.js';
import { type Fault, VendorProgram } from './vendor-program.js';

type Settings = Extract<ServiceSettings, { driver: 'systemd' }>;

const PROPERTIES = [
  'LoadState',
  'ActiveState',
  'SubState',
  'MainPID',
  'Result',
  'ExecMainStatus',
  'NRestarts',
  'Restart',
  'TriggeredBy',
  'InvocationID',
] as const;
type Unit = Record<(typeof PROPERTIES)[number], string>;

/** A unit's own patience ends its start and its stop (TimeoutStartSec=, TimeoutStopSec=); a recovery may have raised it. */
const COMMAND_PATIENCE = 900_000;

const UP = ['active', 'reloading', 'refreshing'];
const BETWEEN = ['activating', 'deactivating', 'maintenance'];

/** A unit of systemd. */
export function systemdDriver(name: ServiceName, settings: Settings, host: Host): ServiceDriver {
  const { unit, user, sudo } = settings;
  const manager = user ? ['--user'] : [];
  const systemctl = (...args: string[]): Command => ({ file: 'systemctl', args: [...manager, ...args] });
  const asRoot = ({ file, args }: Command, ...flags: string[]): Command =>
    sudo ? { file: 'sudo', args: ['-n', ...flags, file, ...args] } : { file, args };
  const program = new VendorProgram(name, host, faultsOf(name, settings), COMMAND_PATIENCE);
  const commands = (verb: string) => [asRoot(systemctl(verb, unit))];

  const journal: Command = {
    file: 'journalctl',
    args: [user ? '--user-unit' : '--unit', unit, '--lines', '20', '--no-pager', '--quiet', '--output', 'cat'],
  };

  const unitNow = async (): Promise<Unit> => {
    const show = systemctl('show', `--property=${PROPERTIES.join(',')}`, unit);
    const printed = await program.ask(show);
    const found: Record<string, string> = Object.fromEntries(
      printed
        .split('\n')
        .filter((line) => line.includes('='))
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
    if (!found.LoadState || !found.ActiveState || !/^\d+$/.test(found.MainPID ?? ''))
      throw program.strange(show, printed, 'no LoadState, ActiveState and MainPID');
    const { LoadState } = found;
    if (LoadState !== 'loaded')
      throw new Problem(
        `systemd${host.here ? '' : ` on ${host.title}`} cannot use the unit ${unit}: its LoadState is ${LoadState}`,
        {
          next:
            LoadState === 'masked'
              ? program.shown(asRoot(systemctl('unmask', unit)))
              : `name the right unit in services.${name}.unit of the profile; those that there are: ${program.shown(systemctl('list-unit-files', '--type=service'))}`,
        },
      );
    return { ...Object.fromEntries(PROPERTIES.map((property) => [property, ''])), ...found } as Unit;
  };

  /** Of the units that activate this one those that are at work. */
  const triggersOf = async ({ TriggeredBy }: Unit): Promise<string[]> => {
    const units = TriggeredBy.split(' ').filter((one) => one !== '');
    if (units.length === 0) return [];
    // Its exit code tells whether any is active; its lines, which.
    const { stdout } = await program.attempt(systemctl('is-active', ...units));
    const states = stdout.trim().split('\n');
    return units.filter((_, index) => states[index] === 'active');
  };

  return vendorDriver(program, {
    async look() {
      const found = await unitNow();
      const triggers = (await triggersOf(found)).map(
        (trigger): ServiceFinding => ({
          level: 'warning',
          message: `${trigger} starts ${unit} again though it was stopped`,
          next: `${program.shown(asRoot(systemctl('stop', trigger)))}, and start it again afterwards`,
        }),
      );
      return lookOf(settings, found, [...triggers, ...restartPolicy(settings, found, program)]);
    },
    commands: async (verb) => commands(verb),
    lasting: commands,
    status: () => systemctl('status', unit),
    logs: () => [
      asRoot(journal),
      ...(sudo ? [journal] : []),
      // Who may not read the journal is shown nothing of it; the status has its last lines as well.
      systemctl('status', '--lines', '20', '--no-pager', unit),
    ],
    rights: async () => rights(),
  });

  /** Who is no root and asks no sudo needs a rule of polkit, which only tells when it is used. */
  async function rights(): Promise<ServiceFinding[]> {
    if (user) return [];
    if (!sudo) {
      const id = await program.attempt({ file: 'id', args: ['--user'] });
      if (id.stdout.trim() === '0') return [];
      return [
        {
          level: 'warning',
          message: `only root may stop and start ${unit}, and this is the user ${id.stdout.trim()}: without a rule of polkit systemd refuses`,
          next: `set services.${name}.sudo: true in the profile, or run this as root`,
        },
      ];
    }
    const needed = (['stop', 'start', 'restart'] as const).map((verb) => systemctl(verb, unit));
    for (const command of needed) {
      const answer = await program.attempt(asRoot(command, '--list'));
      if (answer.exitCode === 0) continue;
      const rule = needed.map((one) => `/usr/bin/${[one.file, ...one.args].join(' ')}`).join(', ');
      return [
        {
          level: 'blocking',
          message: `sudo does not let this user stop and start ${unit} without a password: ${program.problem(asRoot(command, '--list'), answer, answer.stderr || answer.stdout).message}`,
          next: `have root add with visudo: USER ALL=(root) NOPASSWD: ${rule}`,
        },
      ];
    }
    return [];
  }
}

function lookOf({ unit }: Settings, found: Unit, revivers: ServiceFinding[]): ServiceLook {
  const { ActiveState, SubState, MainPID, Result, ExecMainStatus, NRestarts, InvocationID } = found;
  const running = UP.includes(ActiveState) || BETWEEN.includes(ActiveState) || MainPID !== '0';
  const more = [
    ...(MainPID === '0' ? [] : [`main process ${MainPID}`]),
    ...(['', 'success'].includes(Result) ? [] : [`result ${Result}, exit status ${ExecMainStatus}`]),
    ...(['', '0'].includes(NRestarts) ? [] : [`restarted ${NRestarts} times`]),
  ];
  return {
    state: running ? 'running' : 'stopped',
    ready: UP.includes(ActiveState),
    seen: `unit ${unit} is ${ActiveState} (${[SubState, ...more].join(', ')})`,
    instances: running ? [InvocationID || MainPID] : [],
    revivers,
  };
}

function restartPolicy({ unit }: Settings, { Restart }: Unit, program: VendorProgram): ServiceFinding[] {
  if (['', 'no'].includes(Restart)) return [];
  return [
    {
      level: 'info',
      message: `systemd starts ${unit} again when it ends by itself (Restart=${Restart}), not after it was stopped`,
      next: `should it come back all the same: see who starts it: ${program.shown({ file: 'systemctl', args: ['list-dependencies', '--reverse', unit] })}`,
    },
  ];
}

function faultsOf(name: ServiceName, { unit, user }: Settings): Fault[] {
  return [
    {
      says: /interactive authentication required|access denied|not authorized|a password is required|a terminal is required/i,
      next: `set services.${name}.sudo: true in the profile with a rule of sudo that asks for no password, or run this as root`,
    },
    {
      says: /not been booted with systemd|failed to connect to bus/i,
      next: user
        ? 'run this as the user whose unit it is, in a session of his own (XDG_RUNTIME_DIR set; loginctl enable-linger USER)'
        : `systemd is not at work there: name the machine where ${unit} runs in hosts.${name}: { ssh: … }, or take another driver`,
    },
    {
      says: /repeated too quickly|start-limit-hit/i,
      next: `systemctl reset-failed ${unit}, once its log says why it ends`,
    },
    {
      says: /not found|not loaded|No such file/i,
      next: `name the right unit in services.${name}.unit of the profile: systemctl list-unit-files --type=service`,
    },
  ];
}
