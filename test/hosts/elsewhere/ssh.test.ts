import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { commandText } from '../../../src/hosts/command.js';
import { treeOf } from '../../../src/hosts/copy-tree.js';
import { closedGateway, GatewayRefusal } from '../../../src/hosts/gateway.js';
import type { Host } from '../../../src/hosts/host.js';
import type { CarryingTree } from '../../../src/hosts/host-files.js';
import { hostOf } from '../../../src/hosts/host-of.js';
import { localFiles } from '../../../src/hosts/local-files.js';
import { inspectCommand, readCommand } from '../../../src/hosts/run-command.js';
import { eventually, processes } from '../../support/eventually.js';
import { open, recordingGateway } from '../../support/sandbox.js';
import { type SshHost, sshHost, whyNoSshServer } from '../../support/ssh-server.js';
import { tempFolder } from '../../support/temp.js';
import { whyNot } from '../../support/tools.js';

// Commands and files over a real SSH server, on a host with files that only it sees.

const missing = whyNoSshServer();
let ssh: SshHost;
let host: Host;
let root: string;

beforeAll(async () => {
  if (missing) return;
  ssh = await sshHost('files-1');
  host = hostOf({ ssh: ssh.name, sudo: false });
  root = ssh.folder;
  ssh.run(`mkdir -p ${root}`);
});

const there = () => host.files;
const isRunning = (words: string) => processes().some(({ command }) => command === words);

describe.skipIf(missing)(`over SSH${missing ? ` (not run here: ${missing})` : ''}`, () => {
  describe('files', () => {
    test('are told as they are told here, whatever they are called', async () => {
      const names = [`it's`, 'two words', '-dash', '$(touch x)', 'a"b', '.hidden', 'umlaut-ä'];
      await there().makeFolder(open, `${root}/odd`);
      for (const name of names) await there().writeText(open, `${root}/odd/${name}`, `of ${name}\n`);
      const listed = await there().list(`${root}/odd`);
      expect(listed.map(({ name }) => name).sort()).toEqual([...names].sort());
      for (const name of names) {
        const path = `${root}/odd/${name}`;
        expect((await there().read(path)).toString()).toBe(`of ${name}\n`);
        expect(await there().stat(path)).toMatchObject({ kind: 'file', mode: 0o600, uid: 0, gid: 0 });
      }
      expect(
        await there()
          .list('/run/absent')
          .catch((error: Error) => error.message),
      ).toMatch(/^files-1: .*\/run\/absent/);
    });

    test('and of this machine answer the same to the same questions', async () => {
      const folder = tempFolder('same');
      writeFileSync(join(folder, 'f'), 'hello world');
      const ask = async (files: typeof localFiles) => [
        await files.exists(join(folder, 'f')),
        await files.exists(join(folder, 'g')),
        await files.stat(join(folder, 'f')),
        await files.stat(folder).then((found) => found?.kind),
        await files.stat(join(folder, 'g')),
        await files.list(folder),
        await files.realPath(`${folder}/../${basename(folder)}/f`),
        (await files.read(join(folder, 'f'), { from: 6, length: 3 })).toString(),
        (await files.read(join(folder, 'f'), { from: 6, length: 300 })).toString(),
        await files.sha256(join(folder, 'f')),
        await files.sha256(join(folder, 'f'), { bytes: 5 }),
        await files.user(),
        await files.mayWrite(folder),
        await files.mayWrite(join(folder, 'g')),
      ];
      expect(await ask(there())).toEqual(await ask(localFiles));
      const [one, other] = [
        await there().freeBytes(join(folder, 'x/y')),
        await localFiles.freeBytes(join(folder, 'x/y')),
      ];
      expect(Math.abs(one - other)).toBeLessThan(1 << 30);
    });

    test('keep their owner and rights when they are written anew, and are never half there', async () => {
      await there().writeText(open, `${root}/conf`, 'old');
      ssh.run(`chown 65534:65534 ${root}/conf && chmod 640 ${root}/conf`);
      await there().writeText(open, `${root}/conf`, 'new');
      expect(await there().stat(`${root}/conf`)).toMatchObject({ mode: 0o640, uid: 65534, gid: 65534 });
      expect((await there().list(root)).filter(({ name }) => name.startsWith('conf'))).toHaveLength(1);
    });

    test('are moved aside, and never over something that is there', async () => {
      await there().writeText(open, `${root}/from`, 'x');
      await there().moveAside(open, `${root}/from`, `${root}/kept/to`);
      await there().writeText(open, `${root}/from`, 'y');
      await expect(there().moveAside(open, `${root}/from`, `${root}/kept/to`)).rejects.toThrow(
        /exists already on files-1/,
      );
      expect((await there().read(`${root}/kept/to`)).toString()).toBe('x');
    });

    test('change their folder by their names, all or none where one is taken there', async () => {
      ssh.run(
        `mkdir -p ${root}/of ${root}/to && cd ${root}/of && mkdir a && ln -s /nowhere link && touch 'b c' .hidden -- -d`,
      );
      const names = ['b c', 'a', 'link', '.hidden', '-d'];
      await there().writeText(open, `${root}/to/link`, 'taken');
      await expect(there().moveEntries(open, `${root}/of`, `${root}/to`, names)).rejects.toThrow(
        /link exists already/,
      );
      expect(await there().list(`${root}/of`)).toHaveLength(5);
      await there().remove(open, `${root}/to/link`);
      await there().moveEntries(open, `${root}/of`, `${root}/to`, names);
      expect(await there().list(`${root}/of`)).toEqual([]);
      expect((await there().list(`${root}/to`)).map(({ name }) => name).sort()).toEqual([...names].sort());
    });

    test('may be a link to what is not there yet, and never in the place of something', async () => {
      await there().makeLink(open, `${root}/not there yet`, `${root}/a link`);
      expect(ssh.run(`readlink '${root}/a link'`)).toBe(`${root}/not there yet\n`);
      await expect(there().makeLink(open, root, `${root}/a link`)).rejects.toThrow(
        /a link exists already on files-1/,
      );
    });

    test('are not changed but through the gateway, which is told what a person would type', async () => {
      await expect(there().remove(closedGateway(), root)).rejects.toThrow(GatewayRefusal);
      expect(await there().exists(root)).toBe(true);
      const { gateway, changes } = recordingGateway();
      await there().setMode(gateway, root, 0o755);
      expect(changes).toEqual([{ channel: 'file', text: `ssh files-1 -- 'chmod 755 ${root}'` }]);
    });
  });

  describe('a large file', () => {
    const bytes = randomBytes(24_000_000);

    test.each([
      'send',
      'fetch',
    ] as const)('is gone on with where the connection was cut (%s), and is the same then', async (way) => {
      const here = join(tempFolder('large'), 'file');
      const far = `${root}/large-${way}`;
      if (way === 'send') writeFileSync(here, bytes);
      else {
        const source = join(tempFolder('large'), 'source');
        writeFileSync(source, bytes);
        await there().send(open, source, far);
      }
      const [from, to] = way === 'send' ? [here, far] : [far, here];
      let done = 0;
      const cut = there()[way](open, from, to, {
        onBytes: (more) => {
          done += more;
          if (done > 12_000_000) void ssh.cut();
        },
      });
      await expect(cut).rejects.toThrow(/^files-1 cannot be reached, or the connection to it was cut: /);
      expect(await (way === 'send' ? there().exists(to) : existsSync(to))).toBe(false);
      const told: number[] = [];
      await there()[way](open, from, to, { onBytes: (more) => told.push(more) });
      expect(told[0]).toBeGreaterThan(1_000_000);
      expect(told.reduce((sum, one) => sum + one, 0)).toBe(bytes.length);
      expect(await there().sha256(far)).toBe(await localFiles.sha256(here));
      expect(readFileSync(here).equals(bytes)).toBe(true);
    });

    test('that is another one than the half that lies there is brought from its beginning', async () => {
      const here = join(tempFolder('large'), 'file');
      writeFileSync(here, bytes.subarray(0, 100_000));
      ssh.run(`head -c 50000 /dev/urandom > ${root}/another.part`);
      const told: number[] = [];
      await there().send(open, here, `${root}/another`, { onBytes: (more) => told.push(more) });
      expect(told[0]).toBe(0);
      expect(await there().sha256(`${root}/another`)).toBe(await localFiles.sha256(here));
    });
  });

  describe('a folder', () => {
    /** Names that a shell would read otherwise, an empty file, rights, and enough bytes to be cut off in between. */
    function tree(): string {
      const folder = tempFolder('tree');
      for (const name of ['base/1', 'base/5', 'empty', `long/${'x'.repeat(90)}/${'y'.repeat(90)}`])
        mkdirSync(join(folder, name), { recursive: true, mode: 0o700 });
      for (const name of [`it's`, 'two words', '-dash', '$(touch x)', 'base/1/a"b', '.hidden', 'base/5/umlaut-ä'])
        writeFileSync(join(folder, name), `of ${name}`, { mode: 0o600 });
      writeFileSync(join(folder, `long/${'x'.repeat(90)}/${'y'.repeat(90)}/z`), '');
      for (const name of ['1', '2', '3', '4', '5', '6'])
        writeFileSync(join(folder, 'base/5', name), randomBytes(4_000_001), { mode: 0o600 });
      chmodSync(join(folder, 'base/5/1'), 0o640);
      utimesSync(join(folder, 'base/5/1'), 1_000, 2_000);
      return folder;
    }
    const hashes = (folder: string, run = (line: string) => execFileSync('sh', ['-c', line], { encoding: 'utf8' })) =>
      run(`cd '${folder}' && find . -type f -exec sha256sum {} + | sort && find . | sort`);

    test.each([
      'send',
      'fetch',
    ] as const)('is whole where it arrives, and is gone on with where the connection was cut (%s)', async (way) => {
      const source = tree();
      const far = `${root}/tree-${way}`;
      const here = join(tempFolder('tree-here'), 'below', 'tree');
      if (way === 'fetch') await there().sendTree(open, source, far);
      const bring = (more: CarryingTree) =>
        way === 'send' ? there().sendTree(open, source, far, more) : there().fetchTree(open, far, here, more);
      let done = 0;
      const cut = bring({
        onBytes: (more) => {
          done += more;
          if (done > 12_000_000) void ssh.cut();
        },
      });
      await expect(cut).rejects.toThrow(/^files-1 cannot be reached, or the connection to it was cut: /);
      expect(existsSync(here)).toBe(false);
      const told: number[] = [];
      let proven = 0;
      await bring({ onBytes: (more) => told.push(more), onProven: (more) => (proven += more) });
      expect(told[0]).toBeGreaterThan(0);
      const bytes = (await treeOf(source)).reduce((sum, one) => sum + one.bytes, 0);
      expect([told.reduce((sum, one) => sum + one, 0), proven]).toEqual([bytes, bytes]);
      expect(way === 'send' ? hashes(far, ssh.run) : hashes(here)).toBe(hashes(source));
      expect((await there().tree(far)).map(({ path, mode }) => [path, mode])).toEqual(
        (await treeOf(source)).map(({ path, mode }) => [path, mode]).sort(([a], [b]) => (a! < b! ? -1 : 1)),
      );
      if (way === 'fetch')
        expect(statSync(join(here, 'base/5/1'))).toMatchObject({ mtimeMs: 2_000_000, mode: 0o100640 });
    });

    test('that is sent takes the place of what lay there, and leaves out what it is told to', async () => {
      const source = tempFolder('tree');
      for (const name of ['kept', 'same', 'changed']) writeFileSync(join(source, name), name);
      ssh.run(
        `mkdir -p ${root}/old && cd ${root}/old && printf same > same && printf x > changed && printf x > more`,
      );
      await there().sendTree(open, source, `${root}/old`, { without: ['kept'] });
      expect(ssh.run(`cd ${root}/old && tail -n +1 *`)).toBe('==> changed <==\nchanged\n==> same <==\nsame');
    });

    test('is sent and fetched by lines that a person could paste', async () => {
      const source = tempFolder('tree');
      writeFileSync(join(source, `it's`), 'x');
      writeFileSync(join(source, 'left'), 'x');
      const back = `${source}-back`;
      execFileSync('sh', ['-c', there().saidSendTree(source, `${root}/pasted`, ['left'])]);
      execFileSync('sh', ['-c', there().saidFetchTree(`${root}/pasted`, back)]);
      expect(readdirSync(back)).toEqual([`it's`]);
      rmSync(back, { recursive: true });
    });

    test('that cannot be read is no empty one', async () => {
      await expect(there().tree(`${root}/absent`)).rejects.toThrow(/^files-1: .*absent/);
      ssh.run(
        `mkdir -p '${root}/with/a*b' ${root}/with/axb/deep && touch '${root}/with/a*b/x' ${root}/with/axb/deep/y`,
      );
      const here = join(tempFolder('without'), 'copy');
      await there().fetchTree(open, `${root}/with`, here, { without: ['a*b'] });
      expect((await localFiles.tree(here)).map(({ path }) => path)).toEqual(['axb', 'axb/deep', 'axb/deep/y']);
      expect((await there().tree(`${root}/with`, { without: ['axb'] })).map(({ path }) => path)).toEqual([
        'a*b',
        'a*b/x',
      ]);
      await expect(there().fetchTree(open, `${root}/absent`, `${tempFolder('x')}/y`)).rejects.toThrow(/absent/);
    });
  });

  test('a process is found by its number with the folder that it works in', async () => {
    const pid = Number(ssh.run('cd /usr; sleep 4242.5 </dev/null >/dev/null 2>&1 & echo $!'));
    expect(await there().workingFolder(pid)).toBe('/usr');
    process.kill(pid);
    await eventually('it is gone', async () => (await there().workingFolder(pid)) === undefined);
  });

  describe('a command', () => {
    test('that is aborted has ended there, with what it had started', async () => {
      const stop = new AbortController();
      const words = ['sleep 4242.1', 'sleep 4242.2'];
      const command = host.reach({ file: 'sh', args: ['-c', `${words[0]} & ${words[1]}; true`] });
      const ended = readCommand(command, { signal: stop.signal });
      await eventually('both run', () => words.every(isRunning));
      stop.abort();
      expect(await ended).toMatchObject({ failure: 'aborted' });
      expect(words.filter(isRunning)).toEqual([]);
    });

    test('whose connection is cut does not go on there', async () => {
      const ended = readCommand(host.reach({ file: 'sleep', args: ['4242.3'] }));
      await eventually('it runs', () => isRunning('sleep 4242.3'));
      await ssh.cut();
      expect((await ended).exitCode).toBe(255);
      await eventually('it has ended', () => !isRunning('sleep 4242.3'));
    });

    test('is given its secrets by no argument and no line that is shown', async () => {
      const secret = `s3cret $HOME 'x' \\n "y"`;
      const command = host.reach({
        file: 'sh',
        args: ['-c', 'printf %s "$PGPASSWORD-$PLAIN"; tr "\\0" " " < /proc/$PPID/cmdline; exec sleep 4242.4'],
        environment: { PLAIN: 'seen' },
        secretEnvironment: { PGPASSWORD: secret },
        secretWords: { PGPASSWORD: '$(cat /etc/secret)' },
      });
      const stop = new AbortController();
      let said = '';
      const ended = readCommand(command, {
        signal: stop.signal,
        onChunk: (chunk) => {
          said += chunk.toString();
        },
      });
      await eventually('it runs', () => isRunning('sleep 4242.4'));
      const seen = processes().filter((one) => one.command.includes('s3cret'));
      stop.abort();
      await ended;
      expect(said.startsWith(`${secret}-seen`)).toBe(true);
      expect(seen).toEqual([]);
      expect(commandText(command)).toMatch(
        /^printf '%s\\n' "\$\(cat \/etc\/secret\)" \| ssh files-1 -- 'env PLAIN=seen sh -c /,
      );
    });

    test('ends with its own exit code', async () => {
      expect(
        await inspectCommand(host.reach({ file: 'sh', args: ['-c', 'echo out; echo err >&2; exit 7'] })),
      ).toMatchObject({
        exitCode: 7,
        stdout: 'out\n',
        stderr: 'err',
      });
    });
  });

  test('sudo is asked where the profile says so, and that it is not there is no absent file', async () => {
    const asRoot = hostOf({ ssh: ssh.name, sudo: true });
    expect(commandText(asRoot.reach({ file: 'mv', args: ['a', 'b c'] }))).toBe(
      `ssh files-1 -- 'sudo -n mv a '\\''b c'\\'''`,
    );
    const asked = asRoot.files.exists(`${root}/absent`);
    if (whyNot('sudo', '-n', 'true')) await expect(asked).rejects.toThrow(/^files-1 cannot be reached, .*sudo/);
    else expect(await asked).toBe(false);
  });
});
