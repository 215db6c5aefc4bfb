import { withoutControls } from '../words.js';

// Text for a grid of cells: cut and wrapped before it is drawn, so that no screen is ever taller or wider than its window.

/** The text cut to a width, with `…` where something is missing. */
export function cut(text: string, width: number): string {
  const plain = withoutControls(text);
  return plain.length <= width ? plain : `${plain.slice(0, Math.max(0, width - 1))}…`;
}

/** The end of the text, with `…` where something is missing: of a path it says more than the beginning. */
export function cutStart(text: string, width: number): string {
  const plain = withoutControls(text);
  return plain.length <= width ? plain : `…${plain.slice(plain.length - Math.max(0, width - 1))}`;
}

/** The text in lines of at most `width`, broken between words where possible; further lines begin with `indent` spaces. */
export function wrap(text: string, width: number, indent = 0): string[] {
  const lines: string[] = [];
  let rest = withoutControls(text);
  let room = width;
  while (rest.length > room) {
    const space = rest.lastIndexOf(' ', room);
    const at = space > room / 3 ? space : room;
    lines.push((lines.length > 0 ? ' '.repeat(indent) : '') + rest.slice(0, at));
    rest = rest.slice(at).trimStart();
    room = Math.max(10, width - indent);
  }
  return [...lines, (lines.length > 0 ? ' '.repeat(indent) : '') + rest];
}

/** A labelled paragraph: `Destroys   412,031 memories, …`, its further lines under the first. */
export function labelled(label: string, text: string, width: number): string[] {
  return wrap(`${label.padEnd(11)}${text}`, width, 11);
}

/** Which part of a long list to show so that the selected line is in it. */
export function windowAround(selected: number, total: number, height: number): { from: number; to: number } {
  const from = Math.max(0, Math.min(selected - Math.floor(height / 2), total - height));
  return { from, to: Math.min(total, from + height) };
}

/** `████████░░░░` */
export function bar(share: number, width: number): string {
  const full = Math.round(Math.max(0, Math.min(1, share)) * width);
  return '█'.repeat(full) + '░'.repeat(width - full);
}

/** What is asked where a cluster's name is to be typed. Where there is no room beside it to type it, it is left to the header. */
export function nameLabel(cluster: string, purpose: string, columns: number): string {
  const whole = ` Type the cluster's name (${cluster}) to ${purpose}: `;
  return whole.length + cluster.length < columns ? whole : whole.replace(` (${cluster})`, '');
}
