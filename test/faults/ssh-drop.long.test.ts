import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { loseEverything } from '../../src/sandbox/lose-everything.js';
import { processes } from '../support/eventually.js';
import type { Measured } from '../support/measure.js';
import { measureCluster } from '../support/measure-cluster.js';
import { PROGRAM } from '../support/program.js';
import { endsAndIsResumed, rescueAtWork } from '../support/rescue-at-work.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { sshServer, whyNoSshServer } from '../support/ssh-server.js';

// A rescue that somebody does over SSH, and whose connection drops. SSHD names the server's program where it is not /usr/sbin/sshd.

const missing = whyNoSshServer();
let real: RealCluster;
let before: Measured;
let through: string[];

beforeAll(async () => {
  if (missing) return;
  real = await realCluster(3_000);
  before = await measureCluster(real);
  await real.backup();
  through = await sshServer({ ...environment(), PATH: process.env.PATH!, CI: 'true', NO_COLOR: '1' });
});

beforeEach(async () => {
  if (!missing) await loseEverything(real.record.name);
});

const environment = () => ({ NOVAMEM_RUNBOOK_HOME: process.env.NOVAMEM_RUNBOOK_HOME! });

/** The program at the far end of the connection. */
const farEnd = () =>
  processes().find(
    ({ command }) =>
      command.startsWith(process.execPath) && command.includes(PROGRAM) && command.includes(real.places.profile),
  )!.pid;

describe.skipIf(missing)(`a rescue over SSH${missing ? ` (not run here: ${missing})` : ''}`, () => {
  test.each<[string, (client: number) => void]>([
    ['the connection is cut', (client) => process.kill(client, 'SIGKILL')],
    ['the network goes silent', (client) => process.kill(client, 'SIGSTOP')],
  ])('stops by its steps own rules when %s, and is gone on with', async (_what, drop) => {
    const program = await rescueAtWork(real, { environment: environment(), through });
    const pid = farEnd();
    drop(program.pid);
    await endsAndIsResumed(real, environment(), pid).finally(() => program.kill());
    expect(await measureCluster(real)).toEqual(before);
  });
});
