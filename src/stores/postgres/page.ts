// What makes a page of a Postgres file a valid one. https://www.postgresql.org/docs/current/storage-page-layout.html

const LANES = 32;
const PRIME = 16777619;
/** Where the sums of the lanes begin: part of the format of a data directory. */
const BEGINNINGS = Uint32Array.of(
  ...[0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c],
  ...[0xf8d4474f, 0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb],
  ...[0xe58f764b, 0x187636bc, 0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4],
  ...[0x783125bb, 0x6ca8eaa2, 0xe407eac6, 0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756],
);

const CHECKSUM_AT = 8;
const FLAGS_AT = 10;
const LOWER_AT = 12;
const UPPER_AT = 14;
const SPECIAL_AT = 16;
const KNOWN_FLAGS = 0x0007;

/** The checksum that a page should carry as block number `block` of its relation. */
export function pageChecksum(page: Buffer, block: number): number {
  const sums = Uint32Array.from(BEGINNINGS);
  const words = page.length / 4;
  // Two rounds of zeros end it, so that the last words are mixed as well as the first.
  for (let word = 0; word < words + 2 * LANES; word += 1) {
    const value = word < words ? page.readUInt32LE(word * 4) : 0;
    // The checksum itself counts as zero.
    const mixed = sums[word % LANES]! ^ (word * 4 === CHECKSUM_AT ? value & 0xffff0000 : value);
    sums[word % LANES] = Math.imul(mixed, PRIME) ^ (mixed >>> 17);
  }
  const folded = sums.reduce((all, sum) => all ^ sum, 0) ^ block;
  return ((folded >>> 0) % 65535) + 1;
}

/** What is wrong with a page, as the server would find when it reads it; empty where nothing is. */
export function pageFault(page: Buffer, block: number, checksums: boolean): string {
  const upper = page.readUInt16LE(UPPER_AT);
  // A page that was added and never written: all zero.
  if (upper === 0) return page.every((byte) => byte === 0) ? '' : 'its header is not that of a page';
  const [lower, special] = [page.readUInt16LE(LOWER_AT), page.readUInt16LE(SPECIAL_AT)];
  const sound =
    (page.readUInt16LE(FLAGS_AT) & ~KNOWN_FLAGS) === 0 &&
    lower <= upper &&
    upper <= special &&
    special <= page.length &&
    special % 8 === 0;
  if (checksums && page.readUInt16LE(CHECKSUM_AT) !== pageChecksum(page, block)) return 'its checksum does not fit';
  return sound ? '' : 'its header is not that of a page';
}
