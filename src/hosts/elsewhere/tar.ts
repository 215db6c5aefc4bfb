import type { TreeEntry } from '../host-files.js';

// What `tar -x` of every system reads (POSIX ustar): of each file its name, its rights and its bytes, and nothing of its owner.

const BLOCK = 512;
const LARGEST_OCTAL = 8 ** 11;

/** The header of an entry. Throws where its name is longer than the format has room for. */
export function tarHeader({ path, kind, bytes, mode, mtime }: TreeEntry): Buffer {
  const header = Buffer.alloc(BLOCK);
  const [prefix, name] = parted(`./${path}${kind === 'folder' ? '/' : ''}`);
  const octal = (value: number, at: number, length: number) =>
    header.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
  header.write(name, 0);
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  if (bytes < LARGEST_OCTAL) octal(bytes, 124, 12);
  else {
    // Of 8 GiB and more: in binary, as GNU's tar and busybox read it.
    header[124] = 0x80;
    header.writeBigUInt64BE(BigInt(bytes), 128);
  }
  octal(mtime, 136, 12);
  header.write(kind === 'folder' ? '5' : '0', 156);
  header.write('ustar\x0000', 257, 'latin1');
  header.write(prefix, 345);
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

function parted(path: string): [prefix: string, name: string] {
  const bytes = Buffer.from(path);
  if (bytes.length <= 100) return ['', path];
  const SLASH = 0x2f;
  // The name gets as much as fits; where it begins, the prefix must not be too long.
  const at = bytes.indexOf(SLASH, bytes.length - 101);
  if (at === -1 || at > 155 || at === bytes.length - 1)
    throw new Error(`${path} has too long a name to be sent to another host`);
  return [bytes.subarray(0, at).toString(), bytes.subarray(at + 1).toString()];
}

/** What follows the bytes of a file. */
export const tarPadding = (bytes: number): Buffer => Buffer.alloc((BLOCK - (bytes % BLOCK)) % BLOCK);

export const TAR_END = Buffer.alloc(2 * BLOCK);
