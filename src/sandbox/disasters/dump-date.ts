const COMPRESSION_IN_A_BYTE = 15;

/**
 * Moves the moment that the header of a custom-format dump names, by so many ms; nothing else is changed. The header: `PGDMP`, the version
 * (three bytes), the size of an integer, that of an offset, the format, how it is compressed (an integer, from version 1.15 a byte), the
 * moment. The moment is as C's `struct tm` has it. An
 * integer is a byte for its sign and its bytes, the lowest first.
 */
export function redate(dump: Buffer, byMs: number): void {
  if (dump.toString('latin1', 0, 5) !== 'PGDMP') throw new Error('this is no dump in the custom format');
  const size = dump[8]!;
  const integer = 1 + size;
  const begin = 11 + (dump[6]! >= COMPRESSION_IN_A_BYTE ? 1 : integer);
  const at = (index: number) => begin + index * integer + 1;
  const [seconds, minutes, hours, day, month, year] = [0, 1, 2, 3, 4, 5].map((index) =>
    dump.readUIntLE(at(index), size),
  );
  const moved = new Date(Date.UTC(1900 + year!, month!, day!, hours!, minutes!, seconds!) + byMs);
  const fields = [
    moved.getUTCSeconds(),
    moved.getUTCMinutes(),
    moved.getUTCHours(),
    moved.getUTCDate(),
    moved.getUTCMonth(),
    moved.getUTCFullYear() - 1900,
  ];
  for (const [index, value] of fields.entries()) dump.writeUIntLE(value, at(index), size);
}
