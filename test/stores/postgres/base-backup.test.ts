import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inspectCommand } from '../../../src/hosts/run-command.js';
import { faultOfBase, findBaseBackups } from '../../../src/stores/postgres/base-backup.js';
import { describeServer } from '../../../src/stores/postgres/server.js';
import { toolsFor } from '../../../src/stores/postgres/tools.js';
import { realCluster } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

test('a base backup in tar archives is told with the commands that unpack it, after which it is found', async () => {
  const { cluster } = await realCluster(10);
  const { postgres } = cluster;
  const tools = await toolsFor((await describeServer(postgres)).major);
  const root = tempFolder('bases');
  const folder = join(root, "of monday's night");
  const made = await inspectCommand({
    file: join(tools.bin, 'pg_basebackup'),
    args: [...postgres.toolArguments, '--checkpoint', 'fast', '--format', 'tar', '--gzip', '-D', folder],
    ...postgres.toolEnvironment,
  });
  expect(made.exitCode, made.stderr).toBe(0);

  const before = await findBaseBackups([root], []);
  expect(before.usable).toEqual([]);
  expect(before.unusable).toHaveLength(1);
  const [, commands] = /^its files are in base\.tar\.gz, .*: (mkdir .*)$/.exec(before.unusable[0]!.why)!;
  const unpacked = await inspectCommand({ file: 'sh', args: ['-c', commands!] });
  expect(unpacked.exitCode, unpacked.stderr).toBe(0);

  const { usable, unusable } = await findBaseBackups([root], []);
  expect(unusable).toEqual([]);
  expect(usable.map((base) => base.folder)).toEqual([join(folder, 'base')]);
  expect(await faultOfBase(tools, usable[0]!)).toBe('');
});
