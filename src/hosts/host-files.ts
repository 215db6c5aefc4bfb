import type { Gateway } from './gateway.js';

/** What a path leads to, links followed. */
export interface FileStat {
  kind: 'file' | 'folder' | 'other';
  bytes: number;
  /** The lowest 12 bits: rights, and the three above them. */
  mode: number;
  uid: number;
  gid: number;
  /** Seconds since 1970. */
  mtime: number;
  /** The file system that it is on, by its number. */
  device: number;
}

/** A file or folder at any depth below a folder: links are followed, and what is neither is left out. */
export interface TreeEntry {
  /** Relative to the folder. */
  path: string;
  kind: 'file' | 'folder';
  bytes: number;
  mode: number;
  /** Seconds since 1970. */
  mtime: number;
}

/** What lies in a folder; a link is what it is, not what it leads to. */
export interface Entry {
  name: string;
  kind: FileStat['kind'] | 'link';
}

/** How a file that is brought somewhere is followed. */
export interface Carrying {
  /** Told the bytes of each piece that is there, those of an earlier attempt in one. */
  onBytes?: (bytes: number) => void;
  signal?: AbortSignal;
}

/** What a person would type for what is done with files. */
export interface Saying {
  /** `mv a b` as it is, or `ssh ops@graph-1 -- 'mv a b'`. */
  said(file: string, ...args: string[]): string;
  /** The same for writing a text. */
  saidText(path: string, text: string): string;
  /** And for bringing a file there. */
  saidSend(from: string, to: string): string;
  /** For bringing a folder there, and here. */
  saidSendTree(from: string, to: string, without?: readonly string[]): string;
  saidFetchTree(from: string, to: string, without?: readonly string[]): string;
}

/** Which part of a folder is looked at. */
export interface LookingAtTree {
  /** False: only what lies in the folder itself. */
  deep?: boolean;
  /** Names of its top level that are left out. */
  without?: readonly string[];
}

/** How a folder that is brought somewhere is followed. */
export interface CarryingTree extends Carrying {
  /** Told the bytes of each file that was read once more where it arrived, and is the same. */
  onProven?: (bytes: number) => void;
}

/**
 * The files of one host. A path that is absent is `undefined` or false, or rejects with a sentence; a host that cannot be reached rejects
 * with a Problem, never with "absent".
 */
export interface HostFiles extends Saying {
  /** Whether anything has this name, be it a link that leads nowhere. */
  exists(path: string): Promise<boolean>;
  stat(path: string): Promise<FileStat | undefined>;
  list(folder: string): Promise<Entry[]>;
  /** All that is below a folder, or only what lies in it, but for some names of its top level; what something leads back into is refused. */
  tree(folder: string, more?: LookingAtTree): Promise<TreeEntry[]>;
  /** With every link followed. */
  realPath(path: string): Promise<string>;
  /** A file, or `length` bytes of it from `from` on: as many of them as there are. */
  read(path: string, piece?: { from: number; length: number }): Promise<Buffer>;
  /** A file piece by piece: from the byte `from` on, up to the byte `bytes`. */
  stream(path: string, more?: { from?: number; bytes?: number; signal?: AbortSignal }): AsyncIterable<Buffer>;
  /** 64 hex digits; with `bytes`, of so many of its first. */
  sha256(path: string, more?: { bytes?: number; signal?: AbortSignal }): Promise<string>;
  /** Bytes that are free on the file system that a path is, or will be, on. */
  freeBytes(path: string): Promise<number>;
  /** Whether this program may make and remove names in a folder, or write to a file. */
  mayWrite(path: string): Promise<boolean>;
  /** Who this program is there: its user's number. */
  user(): Promise<number>;
  /** Those of these programs that are not on the PATH there. */
  missing(programs: readonly string[]): Promise<string[]>;
  /** In which folder a process there works: empty where that is not told, undefined where no such process runs. */
  workingFolder(pid: number): Promise<string | undefined>;

  makeFolder(gateway: Gateway, path: string, mode?: number): Promise<void>;
  /** Renames within a file system. `to` must not exist; the folder above it is made. */
  moveAside(gateway: Gateway, from: string, to: string): Promise<void>;
  /**
   * Renames these names of a folder into another one, which must be there, in this order and within a file system. Refused before anything
   * is moved where one of them is taken there. Ended half-way, each is in one of the two.
   */
  moveEntries(gateway: Gateway, from: string, to: string, names: readonly string[]): Promise<void>;
  /** Makes a symbolic link at `path`, which must be free, to what may not be there yet. */
  makeLink(gateway: Gateway, to: string, path: string): Promise<void>;
  /** Removes a file or folder with all that is in it; one that is absent is no error. */
  remove(gateway: Gateway, path: string): Promise<void>;
  /** Writes a file as a whole: it is there and on disk afterwards, or as it was before. */
  writeText(gateway: Gateway, path: string, text: string): Promise<void>;
  setMode(gateway: Gateway, path: string, mode: number): Promise<void>;
  /** Gives it, with all that is in it, to a user and group, where this program may. */
  giveTo(gateway: Gateway, path: string, owner: { uid: number; gid: number }): Promise<void>;
  /**
   * Brings a file of this machine there: whole, with its SHA-256 compared on both ends, or not at all. What an attempt that was cut off
   * has brought is gone on with. `to` must not exist. Answers the SHA-256.
   */
  send(gateway: Gateway, from: string, to: string, more?: Carrying): Promise<string>;
  /** Brings a file to this machine in the same way: as much of it as there was when it was begun, since it may grow. */
  fetch(gateway: Gateway, from: string, to: string, more?: Carrying): Promise<string>;
  /**
   * Brings what is in a folder of this machine there, but for some names of its top level: each file with its SHA-256 compared on both ends. What
   * an attempt that was cut off has brought into `to` is gone on with, and whatever else lies there is removed.
   */
  sendTree(
    gateway: Gateway,
    from: string,
    to: string,
    more?: CarryingTree & { without?: readonly string[] },
  ): Promise<void>;
  /** Brings a folder to this machine, rights and times kept, but for some names of its top level: whole, or not at all. `to` must not exist. */
  fetchTree(
    gateway: Gateway,
    from: string,
    to: string,
    more?: CarryingTree & { without?: readonly string[] },
  ): Promise<void>;
  /** Copies a file there to another place there, which must be free. */
  copy(gateway: Gateway, from: string, to: string): Promise<void>;

  /** Has the files reachable while their service is stopped; they may be without. */
  open(gateway: Gateway, signal?: AbortSignal): Promise<void>;
  /** Ends what `open` has begun, in this process or in another: before the service is started, and when a step has failed. */
  close(gateway: Gateway): Promise<void>;
  /** How the same is said while their service is stopped. */
  readonly whileStopped: Saying & {
    /** What a person would type to have them reachable, and to end that. */
    opening(): Promise<string[]>;
    closing(): string[];
  };
  /** What must be known of which files these are; '' where there is nothing to say. */
  caution(): Promise<string>;
}
