import { type Command, leavingOut, movingText, shellWord, textSaid } from '../command.js';
import type { Gateway } from '../gateway.js';
import type {
  Carrying,
  CarryingTree,
  Entry,
  FileStat,
  HostFiles,
  LookingAtTree,
  Saying,
  TreeEntry,
} from '../host-files.js';
import { outputOf, type Taking } from '../program-output.js';
import type { Answer, Asking, Reaching } from './reaching.js';
import { fetchFile, keep, sendFile } from './transfer.js';
import { fetchTree, pruning, sendTree } from './tree-transfer.js';

/** What has the files of a stopped service reachable: nothing is needed where its container can be made once more. */
export interface Opening {
  open(gateway: Gateway, signal?: AbortSignal): Promise<void>;
  close(gateway: Gateway): Promise<void>;
  /** What a person would type instead. */
  opening(): Promise<string[]>;
  closing(): string[];
  /** As `HostFiles.caution`. */
  caution(): Promise<string>;
}

const sayingBy = (text: (command: Command) => string): Saying => ({
  said: (file, ...args) => text({ file, args }),
  saidText: (path, words) => text({ file: 'sh', args: ['-c', textSaid(path, words)] }),
  saidSend: (from, to) => `${text({ file: 'sh', args: ['-c', `cat > ${shellWord(to)}`] })} < ${shellWord(from)}`,
  saidSendTree(from, to, without = []) {
    const packed = ['tar', '-C', from, ...leavingOut(without), '-chf', '-', '.'].map(shellWord).join(' ');
    const unpacked = `mkdir -p ${shellWord(to)} && tar -C ${shellWord(to)} -xof -`;
    return `${packed} | ${text({ file: 'sh', args: ['-c', unpacked] })}`;
  },
  saidFetchTree: (from, to, without = []) =>
    `mkdir -p ${shellWord(to)} && ${text({ file: 'tar', args: ['-C', from, ...leavingOut(without), '-chf', '-', '.'] })} | tar -C ${shellWord(to)} -xpf -`,
});

const [ABSENT, TAKEN] = [3, 17];
/** For what is as long as there are bytes. */
const LONG = Number.POSITIVE_INFINITY;
const FOLDER_BITS = 0o170000;
/** Of the longest names that there are, what a command line holds. */
const NAMES_AT_ONCE = 200;

/** The files of a host elsewhere, by what every shell and busybox has. */
export class PosixFiles implements HostFiles {
  readonly #reaching: Reaching;
  readonly #opening: Opening | undefined;
  readonly said: Saying['said'];
  readonly saidText: Saying['saidText'];
  readonly saidSend: Saying['saidSend'];
  readonly saidSendTree: Saying['saidSendTree'];
  readonly saidFetchTree: Saying['saidFetchTree'];
  readonly whileStopped: HostFiles['whileStopped'];

  constructor(reaching: Reaching, opening?: Opening) {
    this.#reaching = reaching;
    this.#opening = opening;
    const saying = sayingBy((command) => reaching.text(command));
    ({ said: this.said, saidText: this.saidText, saidSend: this.saidSend } = saying);
    ({ saidSendTree: this.saidSendTree, saidFetchTree: this.saidFetchTree } = saying);
    this.whileStopped = {
      ...sayingBy((command) => reaching.textWhileStopped(command)),
      opening: async () => (await opening?.opening()) ?? [],
      closing: () => opening?.closing() ?? [],
    };
  }

  async exists(path: string): Promise<boolean> {
    const { code } = await this.#ask('[ -e "$1" ] || [ -h "$1" ] || exit 3', [path], { absent: true });
    return code !== ABSENT;
  }

  async stat(path: string): Promise<FileStat | undefined> {
    const { code, out } = await this.#ask('[ -e "$1" ] || exit 3; stat -L -c \'%f %s %u %g %Y %d\' "$1"', [path], {
      absent: true,
    });
    return code === ABSENT ? undefined : statIn(out.toString());
  }

  async list(folder: string): Promise<Entry[]> {
    const script = `cd "$1" || exit
for f in * .[!.]* ..?*; do if [ -e "$f" ] || [ -h "$f" ]; then stat -c '%f %n' "./$f" || exit; fi; done`;
    const { out } = await this.#ask(script, [folder]);
    return out
      .toString()
      .split('\n')
      .filter(Boolean)
      .map((line) => {
        const found = /^([0-9a-f]+) \.\/(.+)$/.exec(line);
        if (!found) throw new Error(`${folder} on ${this.#reaching.title} holds a name that cannot be read: ${line}`);
        const kind = kindOf(Number.parseInt(found[1]!, 16));
        return { name: found[2]!, kind };
      });
  }

  async tree(folder: string, { deep = true, without = [] }: LookingAtTree = {}): Promise<TreeEntry[]> {
    // A link that leads nowhere stays one; what is gone since it was found fails, since nothing below it may change.
    const script = `cd "$1" && find -L .${deep ? '' : ' -maxdepth 1'} ${pruning(without)}\\( -type f -o -type d \\) -exec stat -L -c '%f %s %Y %n' {} +`;
    const { out } = await this.#ask(script, [folder], { patience: LONG });
    return treeIn(out.toString(), `${folder} on ${this.#reaching.title}`);
  }

  async realPath(path: string): Promise<string> {
    const { out } = await this.#ask('[ -e "$1" ] && readlink -f "$1"', [path]);
    return out.toString().replace(/\n$/, '');
  }

  async read(path: string, piece?: { from: number; length: number }): Promise<Buffer> {
    const script = piece ? `tail -c +${piece.from + 1} "$1" | head -c ${piece.length}` : 'cat "$1"';
    return (await this.#ask(`[ -r "$1" ] || cat "$1" || exit; ${script}`, [path])).out;
  }

  async *stream(
    path: string,
    { bytes, from = 0, signal }: { bytes?: number; from?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<Buffer> {
    const start = from === 0 ? 'cat "$1"' : `tail -c +${from + 1} "$1"`;
    const script = `[ -r "$1" ] || cat "$1" || exit; ${start}${bytes === undefined ? '' : ` | head -c ${bytes - from}`}`;
    yield* this.#output(script, [path], signal ? { signal } : {});
  }

  async *#output(
    script: string,
    args: readonly string[],
    { signal, feed }: Pick<Asking, 'signal' | 'feed'>,
  ): AsyncGenerator<Buffer> {
    const run = (taking: Taking) => this.#ask(script, args, { ...(feed ? { feed } : {}), ...taking, patience: LONG });
    yield* outputOf(run, signal);
  }

  async sha256(path: string, { bytes, signal }: { bytes?: number; signal?: AbortSignal } = {}): Promise<string> {
    const hash = bytes === undefined ? 'sha256sum < "$1"' : `head -c ${bytes} "$1" | sha256sum`;
    const { out } = await this.#ask(`[ -r "$1" ] || cat "$1" || exit; ${hash}`, [path], {
      patience: LONG,
      ...(signal ? { signal } : {}),
    });
    const found = /^[0-9a-f]{64}/.exec(out.toString());
    if (!found) throw new Error(`the SHA-256 of ${path} on ${this.#reaching.title} could not be had`);
    return found[0];
  }

  async freeBytes(path: string): Promise<number> {
    const script = 'p=$1; while [ ! -e "$p" ] && [ "$p" != / ]; do p=$(dirname "$p"); done; df -Pk "$p"';
    const { out } = await this.#ask(script, [path]);
    const free = /^.*\s\d+\s+\d+\s+(\d+)\s+\d+%\s.*$/m.exec(out.toString());
    if (!free) throw new Error(`how much is free at ${path} on ${this.#reaching.title} could not be had`);
    return Number(free[1]) * 1024;
  }

  async mayWrite(path: string): Promise<boolean> {
    const { code } = await this.#ask('[ -w "$1" ] && { [ ! -d "$1" ] || [ -x "$1" ]; } || exit 3', [path], {
      absent: true,
    });
    return code !== ABSENT;
  }

  async user(): Promise<number> {
    return Number((await this.#ask('id -u', [])).out.toString());
  }

  async missing(programs: readonly string[]): Promise<string[]> {
    const script = 'for p; do command -v "$p" >/dev/null 2>&1 || echo "$p"; done';
    return (await this.#ask(script, programs)).out.toString().split('\n').filter(Boolean);
  }

  async workingFolder(pid: number): Promise<string | undefined> {
    const script = `if d=$(readlink "/proc/$1/cwd" 2>/dev/null); then echo "$d"
elif grep -qs '^State:.*Z' "/proc/$1/status"; then exit 3
elif [ -d "/proc/$1" ] || kill -0 "$1" 2>/dev/null; then :; else exit 3; fi`;
    const { code, out } = await this.#ask(script, [String(pid)], { absent: true });
    return code === ABSENT ? undefined : out.toString().replace(/\n$/, '');
  }

  makeFolder(gateway: Gateway, path: string, mode = 0o700): Promise<void> {
    const script = `umask 077; [ -d "$1" ] || { mkdir -p "$1" && chmod ${mode.toString(8)} "$1"; }`;
    return this.#change(gateway, this.said('mkdir', '-p', path), script, [path]);
  }

  moveAside(gateway: Gateway, from: string, to: string): Promise<void> {
    const script = `if [ -e "$2" ] || [ -h "$2" ]; then exit ${TAKEN}; fi
mkdir -p "$(dirname "$2")" && mv "$1" "$2" && ${keep('"$(dirname "$1")" "$(dirname "$2")"')}`;
    return this.#change(gateway, this.said('mv', '-T', from, to), script, [from, to]);
  }

  async moveEntries(gateway: Gateway, from: string, to: string, names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    const there = new Set((await this.list(to)).map(({ name }) => name));
    const taken = names.find((name) => there.has(name));
    if (taken !== undefined) throw new Error(`${to}/${taken} exists already on ${this.#reaching.title}`);
    const script = `from=$1 to=$2; shift 2
for n; do if [ -e "$to/$n" ] || [ -h "$to/$n" ]; then echo "$to/$n exists already" >&2; exit 1; fi; done
for n; do mv "$from/$n" "$to/$n" || exit; done
${keep('"$from" "$to"')}`;
    // As arguments, so that the moving ends with the connection: what is fed has no guard there.
    for (let at = 0; at < names.length; at += NAMES_AT_ONCE) {
      const some = names.slice(at, at + NAMES_AT_ONCE);
      const text = this.said('sh', '-c', movingText(from, to, some));
      await this.#change(gateway, text, script, [from, to, ...some]);
    }
  }

  makeLink(gateway: Gateway, to: string, path: string): Promise<void> {
    const script = `if [ -e "$2" ] || [ -h "$2" ]; then exit ${TAKEN}; fi
ln -s "$1" "$2" && ${keep('"$(dirname "$2")"')}`;
    return this.#change(gateway, this.said('ln', '-s', to, path), script, [to, path]);
  }

  remove(gateway: Gateway, path: string): Promise<void> {
    return this.#change(gateway, this.said('rm', '-rf', path), 'rm -rf "$1"', [path]);
  }

  writeText(gateway: Gateway, path: string, text: string): Promise<void> {
    const bytes = Buffer.from(text);
    // A file that is replaced keeps its owner and its rights; and what was cut off on its way takes the place of nothing.
    const script = `umask 077; n=$1.$$.new; trap 'rm -f "$n"' EXIT
if [ -e "$1" ]; then cp -p "$1" "$n" || exit; fi
cat > "$n" && [ "$(wc -c < "$n")" -eq ${bytes.length} ] && ${keep('"$n"')} && mv "$n" "$1" && ${keep('"$(dirname "$1")"')}`;
    const text_ = `write ${path} on ${this.#reaching.title} (${bytes.length} bytes)`;
    return this.#change(gateway, text_, script, [path], {
      feed: async function* () {
        yield bytes;
      },
    });
  }

  setMode(gateway: Gateway, path: string, mode: number): Promise<void> {
    const digits = mode.toString(8);
    return this.#change(gateway, this.said('chmod', digits, path), `chmod ${digits} "$1"`, [path]);
  }

  giveTo(gateway: Gateway, path: string, { uid, gid }: { uid: number; gid: number }): Promise<void> {
    const owner = `${uid}:${gid}`;
    const script = `[ "$(id -u)" != 0 ] || chown -R ${owner} "$1"`;
    return this.#change(gateway, this.said('chown', '-R', owner, path), script, [path]);
  }

  send(gateway: Gateway, from: string, to: string, more: Carrying = {}): Promise<string> {
    return gateway.change({ channel: 'file', text: this.saidSend(from, to) }, () =>
      sendFile(this.#asking, this, from, to, more),
    );
  }

  fetch(gateway: Gateway, from: string, to: string, more: Carrying = {}): Promise<string> {
    const text = `${this.said('cat', from)} > ${shellWord(to)}`;
    return gateway.change({ channel: 'file', text }, () => fetchFile(this, from, to, more));
  }

  sendTree(
    gateway: Gateway,
    from: string,
    to: string,
    more: CarryingTree & { without?: readonly string[] } = {},
  ): Promise<void> {
    return gateway.change({ channel: 'file', text: this.saidSendTree(from, to, more.without) }, () =>
      sendTree(this.#asking, from, to, more),
    );
  }

  fetchTree(
    gateway: Gateway,
    from: string,
    to: string,
    more: CarryingTree & { without?: readonly string[] } = {},
  ): Promise<void> {
    const reading = (script: string, args: readonly string[], asking: Pick<Asking, 'signal' | 'feed'>) =>
      this.#output(script, args, asking);
    return gateway.change({ channel: 'file', text: this.saidFetchTree(from, to, more.without) }, async () =>
      fetchTree(this.#asking, reading, { from, entries: await this.tree(from, more) }, to, more),
    );
  }

  copy(gateway: Gateway, from: string, to: string): Promise<void> {
    const script = `if [ -e "$2" ] || [ -h "$2" ]; then exit ${TAKEN}; fi
cp -p "$1" "$2.part" && ${keep('"$2.part"')} && mv "$2.part" "$2" && ${keep('"$(dirname "$2")"')}`;
    return this.#change(gateway, this.said('cp', '-p', from, to), script, [from, to], { patience: LONG });
  }

  async open(gateway: Gateway, signal?: AbortSignal): Promise<void> {
    await this.#opening?.open(gateway, signal);
  }

  async close(gateway: Gateway): Promise<void> {
    await this.#opening?.close(gateway);
  }

  async caution(): Promise<string> {
    return (await this.#opening?.caution()) ?? '';
  }

  readonly #asking = (script: string, args: readonly string[], more: Asking) => this.#ask(script, args, more);

  async #change(gateway: Gateway, text: string, script: string, args: string[], more: Asking = {}): Promise<void> {
    await gateway.change({ channel: 'file', text }, () =>
      this.#ask(script, args, {
        safe: () => 'This one change may be made or not; nothing that is not whole has taken the place of anything.',
        ...more,
      }),
    );
  }

  /** Rejects where the script fails; `absent`: unless it says that there is no such thing. */
  async #ask(
    script: string,
    args: readonly string[],
    { absent = false, ...more }: Asking & { absent?: boolean } = {},
  ): Promise<Answer> {
    const answer = await this.#reaching.ask(script, args, more);
    if (answer.code === 0 || (absent && answer.code === ABSENT)) return answer;
    const { title } = this.#reaching;
    if (answer.code === TAKEN) throw new Error(`${args.at(-1)} exists already on ${title}`);
    throw new Error(`${title}: ${answer.error || `${args[0] ?? script} failed with exit code ${answer.code}`}`);
  }
}

function kindOf(mode: number): Entry['kind'] {
  switch (mode & FOLDER_BITS) {
    case 0o100000:
      return 'file';
    case 0o040000:
      return 'folder';
    case 0o120000:
      return 'link';
    default:
      return 'other';
  }
}

function treeIn(text: string, where: string): TreeEntry[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !/ \.$/.test(line))
    .map((line) => {
      const found = /^([0-9a-f]+) (\d+) (\d+) \.\/(.+)$/.exec(line);
      if (!found) throw new Error(`${where} holds a name that cannot be read: ${line}`);
      const bits = Number.parseInt(found[1]!, 16);
      const isFolder = kindOf(bits) === 'folder';
      return {
        path: found[4]!,
        kind: isFolder ? ('folder' as const) : ('file' as const),
        bytes: isFolder ? 0 : Number(found[2]),
        mode: bits & 0o7777,
        mtime: Number(found[3]),
      };
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

function statIn(text: string): FileStat {
  const [mode, bytes, uid, gid, mtime, device] = text.trim().split(' ');
  const bits = Number.parseInt(mode!, 16);
  const kind = kindOf(bits);
  return {
    kind: kind === 'link' ? 'other' : kind,
    mode: bits & 0o7777,
    bytes: Number(bytes),
    uid: Number(uid),
    gid: Number(gid),
    mtime: Number(mtime),
    device: Number(device),
  };
}
