const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/i;
const TIME_CHARACTERS = 10;

/** The instant (ms since 1970) that a ULID carries in its first ten characters; undefined for an id that is none. https://github.com/ulid/spec */
export function instantOfUlid(id: string): number | undefined {
  if (!ULID.test(id)) return undefined;
  let instant = 0;
  for (const character of id.slice(0, TIME_CHARACTERS).toUpperCase())
    instant = instant * 32 + CROCKFORD.indexOf(character);
  return instant;
}
