import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * All that the tests put on the disk is in one folder, which goes with them. Its name is short: sockets are in it, whose paths may
 * not be long. On ext4 the folders in it are spread over the disk (`T`): a new file is not given the inode of one that was deleted
 * minutes ago, and passing over those of thousands of servers' files took a quarter of the time.
 */
export default function setup(): () => void {
  const before = process.env.TMPDIR;
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'nmr-'));
  // Postgres runs as another user.
  chmodSync(folder, 0o1777);
  spawnSync('chattr', ['+T', folder], { stdio: 'ignore' });
  process.env.TMPDIR = folder;
  return () => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  };
}
