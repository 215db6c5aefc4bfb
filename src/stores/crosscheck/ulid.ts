const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const LENGTH = 26;
const TIME_CHARACTERS = 10;
const HIGHEST_FIRST = 7;

/** What each character stands for, by its code; -1 for those that no ULID has. */
const VALUES = new Int8Array(128).fill(-1);
for (const [value, character] of [...CROCKFORD].entries())
  for (const written of [character, character.toLowerCase()]) VALUES[written.charCodeAt(0)] = value;

/** The instant (ms since 1970) that a ULID carries in its first ten characters; undefined for an id that is none. https://github.com/ulid/spec */
export function instantOfUlid(id: string): number | undefined {
  if (id.length !== LENGTH) return undefined;
  let instant = 0;
  for (let at = 0; at < LENGTH; at += 1) {
    const value = VALUES[id.charCodeAt(at)] ?? -1;
    if (value === -1 || (at === 0 && value > HIGHEST_FIRST)) return undefined;
    if (at < TIME_CHARACTERS) instant = instant * 32 + value;
  }
  return instant;
}
