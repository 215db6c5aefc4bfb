/** A text that is longer was not typed key by key: it is left whole. */
const LONGEST_KEYS = 16;

/** What a paste is in, a sequence (one that is cut off at the end, too), alt with a key, escape, another control key, text. */
const PIECES =
  /\u001b\[200~[\s\S]*?(?:\u001b\[201~|$)|\u001b\[[0-?]*[ -/]*(?:[@-~]|$)|\u001bO[0-9;]*(?:[@-~]|$)|\u001b[^\u0000-\u0020\u001b\u007f]|\r\n|[\u0000-\u001f\u007f]|[^\u0000-\u001f\u007f]+/gu;

/** The keys in what was read at once: over a slow line, or while this program was busy, several come together. */
export const keysIn = (read: string): string[] =>
  (read.match(PIECES) ?? []).flatMap((piece) =>
    piece.startsWith(ESCAPE) || piece.length > LONGEST_KEYS ? [piece] : [...piece],
  );

const ESCAPE = '\u001b';
/** Ink waits 20 ms for what an escape may begin. */
const AFTER_ESCAPE_MS = 25;
/** What a key has changed is drawn, and takes the keys, before the next one. */
const AFTER_KEY_MS = 2;

/** The same input, a key at a time: what two keys in one piece mean is for no view, and the second may be for another view than the first. */
export function keyByKey(stdin: NodeJS.ReadStream): NodeJS.ReadStream {
  const waiting: string[] = [];
  let isPausing = false;
  const read = (): string | null => {
    if (isPausing) return null;
    if (waiting.length === 0) waiting.push(...keysIn(String(stdin.read() ?? '')));
    const key = waiting.shift();
    if (key === undefined) return null;
    isPausing = true;
    setTimeout(
      () => {
        isPausing = false;
        stdin.emit('readable');
      },
      key === ESCAPE ? AFTER_ESCAPE_MS : AFTER_KEY_MS,
    );
    return key;
  };
  return new Proxy(stdin, {
    get(target, name) {
      if (name === 'read') return read;
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
