import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openGateway } from '../../../src/hosts/gateway.js';
import { commandDriver } from '../../../src/hosts/services/command-driver.js';
import { eventually, killAll, processes } from '../../support/eventually.js';
import { tempFolder } from '../../support/temp.js';

test.each([
  'start',
  'stop',
] as const)('an abort ends a %s command that hangs, with all that it started', async (which) => {
  const folder = tempFolder('hanging');
  const late = join(folder, 'late');
  // The shell's own child, too, has the folder in its arguments: that is how both are found.
  const line = `sh -c 'sleep 300; true' ${folder}; touch ${late}`;
  const hanging = () => processes().filter((one) => one.command.includes(folder));
  const driver = commandDriver('novamem', { driver: 'command', start: 'true', stop: 'true', [which]: line });
  const abort = new AbortController();
  const ended = driver[which](
    openGateway(() => {}),
    { onLine: () => {}, signal: abort.signal },
  ).then(
    () => 'ended well',
    () => 'ended by the abort',
  );
  try {
    await eventually('it hangs', () => hanging().length === 2);
    abort.abort(new Error('aborted by the operator'));
    expect(await ended).toBe('ended by the abort');
    await eventually('it is gone', () => hanging().length === 0, 5_000);
  } finally {
    killAll(hanging().map(({ pid }) => pid));
  }
  expect(existsSync(late)).toBe(false);
});
