/** What a variable holds; undefined where it is not set. */
export type Lookup = (name: string) => string | undefined;

const VARIABLE = /\$(?:\$|(?<plain>[A-Za-z_]\w*)|\{(?<name>[A-Za-z_]\w*)(?:(?<operator>:?[-?+])(?<word>[^{}]*))?\})/g;

/**
 * The text with its variables replaced as Docker Compose does: `$A`, `${A}`, `${A:-default}`, `${A-default}`, `${A:+other}`, and `$$`
 * for a dollar sign. One that is not set is empty, and told to `onUnset`.
 */
export function interpolate(text: string, lookup: Lookup, onUnset: (name: string) => void = () => {}): string {
  return text.replace(VARIABLE, (whole, ...rest) => {
    if (whole === '$$') return '$';
    const { plain, name = plain ?? '', operator = '', word = '' } = rest.at(-1) as Record<string, string | undefined>;
    const value = lookup(name);
    const isThere = operator.startsWith(':') ? value !== undefined && value !== '' : value !== undefined;
    if (operator.endsWith('+')) return isThere ? interpolate(word, lookup, onUnset) : '';
    if (isThere) return value!;
    if (operator.endsWith('-')) return interpolate(word, lookup, onUnset);
    onUnset(name);
    return value ?? '';
  });
}
