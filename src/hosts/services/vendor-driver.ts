import type { Command } from '../command.js';
import type { Gateway } from '../gateway.js';
import { within } from '../waiting.js';
import type { DriverOptions, ServiceCommands, ServiceDriver, ServiceFinding, ServiceLook } from './driver.js';
import type { VendorProgram } from './vendor-program.js';

type Verb = 'start' | 'stop' | 'restart';

/** How one vendor's program drives a service: in its own commands, one after the other. */
export interface Vendor {
  look(): Promise<ServiceLook>;
  /** What does it now. Rejects with a Problem where what that depends on cannot be asked. */
  commands(verb: Verb): Promise<Command[]>;
  /** What does it at any time, as it is shown where the other rejects. */
  lasting(verb: Verb): Command[];
  status(): Command;
  /** What prints the last lines of the service's log; of several the first that prints any. */
  logs(): Command[];
  /** Whether this person may do all that. */
  rights(): Promise<ServiceFinding[]>;
}

const LAST_LINES = 20;
/** What is only shown waits for nobody. */
const SHOWING_PATIENCE = 5_000;

/** A service that its supervisor's own command-line program stops and starts. */
export function vendorDriver(program: VendorProgram, vendor: Vendor): ServiceDriver {
  const doNow = async (verb: Verb, gateway: Gateway, options: DriverOptions) => {
    for (const command of await vendor.commands(verb)) await program.run(gateway, command, options);
  };
  const shown = (of: (verb: Verb) => Command[]): ServiceCommands => ({
    start: program.shown(...of('start')),
    stop: program.shown(...of('stop')),
    restart: program.shown(...of('restart')),
    status: program.shown(vendor.status()),
  });
  return {
    async commands() {
      try {
        const asked = Promise.all([vendor.commands('start'), vendor.commands('stop'), vendor.commands('restart')]);
        const [start, stop, restart] = await within(SHOWING_PATIENCE, asked);
        const now = { start, stop, restart };
        return shown((verb) => now[verb]);
      } catch {
        return shown(vendor.lasting);
      }
    },
    look: () => vendor.look(),
    state: async () => (await vendor.look()).state,
    findings: async () => [...(await vendor.rights()), ...(await vendor.look()).revivers],
    start: (gateway, options) => doNow('start', gateway, options),
    stop: (gateway, options) => doNow('stop', gateway, options),
    restart: (gateway, options) => doNow('restart', gateway, options),
    async lastLines() {
      for (const command of vendor.logs()) {
        const { stdout, stderr, exitCode } = await program.attempt(command);
        // Both streams of the service are handed on, each in its place; a refusal is only on the second.
        const said = exitCode === 0 ? `${stdout}\n${stderr}` : stdout;
        const lines = said.split('\n').filter((line) => line.trim() !== '');
        if (lines.length > 0) return lines.slice(-LAST_LINES);
      }
      return [];
    },
  };
}
