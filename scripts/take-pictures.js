// Draws the pictures of the README from real frames: runs the demo in a pseudo-terminal, answers it as an engineer would,
// and writes what the terminal shows at three moments as SVG files into docs/.
import './require-node.cjs';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawn } from '@lydell/node-pty';
import xterm from '@xterm/headless';
import { buildIfStale } from './built.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const COLUMNS = 96;
const ROWS = 28;
const PALETTE = ['#1d2021', '#e5534b', '#57ab5a', '#c69026', '#539bf5', '#b083f0', '#39c5cf', '#adbac7'];

buildIfStale();
const home = mkdtempSync(join(tmpdir(), 'novamem-runbook-pictures-'));
const terminal = new xterm.Terminal({ cols: COLUMNS, rows: ROWS, allowProposedApi: true });
const program = spawn(process.execPath, [join(root, 'bin', 'novamem-runbook.js'), 'demo'], {
  cols: COLUMNS,
  rows: ROWS,
  name: 'xterm-256color',
  env: { ...process.env, FORCE_COLOR: '1', NOVAMEM_RUNBOOK_HOME: home },
});
const exited = new Promise((resolve) => program.onExit(resolve));
program.onData((data) => terminal.write(data));

const text = () =>
  Array.from(
    { length: ROWS },
    (_, row) => terminal.buffer.active.getLine(terminal.buffer.active.viewportY + row)?.translateToString(true) ?? '',
  ).join('\n');

async function shows(pattern) {
  for (let waited = 0; waited < 60_000; waited += 20) {
    if (pattern.test(text())) return text();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`never shown: ${pattern}\n${text()}`);
}

const escaped = (sign) => sign.replace(/[&<>]/g, (one) => `&#${one.charCodeAt(0)};`);

function draw(name) {
  const [width, height] = [8.43, 18];
  const buffer = terminal.buffer.active;
  const cells = [];
  for (let row = 0; row < ROWS; row += 1) {
    const line = buffer.getLine(buffer.viewportY + row);
    for (let column = 0; column < COLUMNS; column += 1) {
      const cell = line?.getCell(column);
      const sign = cell?.getChars() ?? '';
      if (!cell || (sign.trim() === '' && !cell.isInverse())) continue;
      const [x, y] = [16 + column * width, 30 + row * height];
      const color = cell.isFgPalette() ? PALETTE[cell.getFgColor() % 8] : '#d1d7e0';
      if (cell.isInverse())
        cells.push(
          `<rect x="${x.toFixed(1)}" y="${y - 13}" width="${(width + 0.3).toFixed(1)}" height="${height}" fill="#d1d7e0"/>`,
        );
      const style = `${cell.isBold() ? ' font-weight="700"' : ''}${cell.isDim() ? ' opacity=".5"' : ''}`;
      if (sign.trim() !== '')
        cells.push(
          `<text x="${x.toFixed(1)}" y="${y}" fill="${cell.isInverse() ? '#1d2021' : color}"${style}>${escaped(sign)}</text>`,
        );
    }
  }
  const [w, h] = [Math.ceil(32 + COLUMNS * width), 30 + ROWS * height];
  writeFileSync(
    join(root, 'docs', `${name}.svg`),
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${w} ${h}" font-family="ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="14"><title>novamem-runbook, ${name}</title><rect width="${w}" height="${h}" rx="8" fill="#1d2021"/>${cells.join('')}</svg>\n`,
  );
}

try {
  await shows(/ manifest$/m);
  program.write('\r');
  await shows(/Nothing has been touched/);
  program.write('\r');
  for (let answered = 0; answered < 3; answered += 1) {
    const screen = await shows(/Type the cluster's name \(\S+\) to go on: *$/m);
    if (answered === 0) draw('confirm');
    program.write(/\((\S+)\) to go on/.exec(screen)[1]);
    program.write('\r');
    const step = /Step (\d) of/.exec(screen)[1];
    await shows(new RegExp(`^(?![\\s\\S]*Step ${step} of)`));
  }
  await shows(/restore-qdrant +\d+ %/);
  draw('run');
  await shows(/q quit/);
  draw('report');
  program.write('q');
  await exited;
} finally {
  program.kill();
  rmSync(home, { recursive: true, force: true });
}
