import { createHash } from 'node:crypto';

// The checksums that a backup_manifest has of its files: CRC32C unless pg_basebackup was told otherwise.

/** Of the Castagnoli polynomial, bits reflected. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});

class Crc32c {
  #crc = 0xffffffff;

  update(piece: Buffer): void {
    let crc = this.#crc;
    for (let at = 0; at < piece.length; at += 1) crc = TABLE[(crc ^ piece[at]!) & 0xff]! ^ (crc >>> 8);
    this.#crc = crc;
  }

  /** As Postgres writes it: the four bytes in this machine's order. */
  digest(): string {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE((this.#crc ^ 0xffffffff) >>> 0);
    return bytes.toString('hex');
  }
}

/** Computes a checksum of that algorithm, as hex digits; undefined for one that is unknown, or none at all. */
export function checksumBy(
  algorithm: string | undefined,
): { update(piece: Buffer): void; digest(): string } | undefined {
  if (algorithm === 'CRC32C') return new Crc32c();
  if (!/^SHA(224|256|384|512)$/.test(algorithm ?? '')) return undefined;
  const hash = createHash(algorithm!.toLowerCase());
  return { update: (piece) => void hash.update(piece), digest: () => hash.digest('hex') };
}
