// Draws docs/*.svg from real frames: a sandbox is backed up and lost, the app in a pseudo-terminal is answered as an engineer would,
// and what the terminal shows is written down at each screen. `take-pictures.js light FOLDER` draws them as a light terminal shows them.
import './require-node.cjs';
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawn } from '@lydell/node-pty';
import xterm from '@xterm/headless';
import { buildIfStale } from './built.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const PROGRAM = join(root, 'bin', 'novamem-runbook.js');
const NAME = 'acme-demo';
const [COLUMNS, ROWS] = [96, 28];
const [CELL_WIDTH, CELL_HEIGHT] = [8.43, 18];
const [theme = 'dark', folder = join(root, 'docs')] = process.argv.slice(2);
const THEMES = {
  dark: {
    palette: ['#1d2021', '#e5534b', '#57ab5a', '#c69026', '#539bf5', '#b083f0', '#39c5cf', '#adbac7'],
    text: '#d1d7e0',
    ground: '#1d2021',
  },
  // xterm's own colours, of which yellow and cyan are the hardest to see on white.
  light: {
    palette: ['#000000', '#cd0000', '#00cd00', '#cdcd00', '#0000ee', '#cd00cd', '#00cdcd', '#e5e5e5'],
    text: '#000000',
    ground: '#ffffff',
  },
};
const { palette: PALETTE, text: TEXT, ground: GROUND } = THEMES[theme];
const [ENTER, ESCAPE, CTRL_C, DOWN] = ['\r', '\u001b', '\u0003', '\u001b[B'];

const home = mkdtempSync(join(tmpdir(), 'novamem-runbook-pictures-'));
process.env.NOVAMEM_RUNBOOK_HOME = home;
buildIfStale();
const { sandboxDown, sandboxProfile, sandboxUp } = await import('../dist/sandbox/sandbox.js');
const { loseEverything } = await import('../dist/sandbox/lose-everything.js');

/** The app in a terminal of its own. */
function open(...args) {
  const terminal = new xterm.Terminal({ cols: COLUMNS, rows: ROWS, allowProposedApi: true });
  const program = spawn(process.execPath, [PROGRAM, ...args, '--profile', NAME], {
    cols: COLUMNS,
    rows: ROWS,
    name: 'xterm-256color',
    env: { ...process.env, FORCE_COLOR: '1' },
  });
  const exited = new Promise((resolve) => program.onExit(resolve));
  program.onData((data) => terminal.write(data));
  const lineAt = (row) => terminal.buffer.active.getLine(terminal.buffer.active.viewportY + row);
  const text = () => Array.from({ length: ROWS }, (_, row) => lineAt(row)?.translateToString(true) ?? '').join('\n');
  return {
    type: (keys) => program.write(keys),
    exited,
    end: () => program.kill(),
    async shows(pattern) {
      for (let waited = 0; waited < 60_000; waited += 20) {
        if (pattern.test(text())) return text();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      throw new Error(`never shown: ${pattern}\n${text()}`);
    },
    draw(name) {
      if (text().includes(root)) throw new Error(`${name} shows a path of this machine:\n${text()}`);
      const pieces = Array.from({ length: ROWS }, (_, row) =>
        piecesOf(lineAt(row)).map((piece) => drawn(piece, row)),
      );
      const [w, h] = [Math.ceil(32 + COLUMNS * CELL_WIDTH), 30 + ROWS * CELL_HEIGHT];
      writeFileSync(
        join(folder, `${name}.svg`),
        `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${w} ${h}" font-family="ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="14"><title>novamem-runbook, ${name}</title><rect width="${w}" height="${h}" rx="8" fill="${GROUND}"/>${pieces.flat().join('')}</svg>\n`,
      );
    },
  };
}

/** The cells of a row that stand together and look the same. */
function piecesOf(line) {
  const pieces = [];
  for (let column = 0; column < COLUMNS; column += 1) {
    const cell = line?.getCell(column);
    const sign = cell?.getChars() || ' ';
    const inverse = Boolean(cell?.isInverse());
    const color = inverse ? GROUND : cell?.isFgPalette() ? PALETTE[cell.getFgColor() % 8] : TEXT;
    const look = [color, inverse, Boolean(cell?.isBold()), Boolean(cell?.isDim())].join();
    const last = pieces.at(-1);
    if (last?.look === look) last.text += sign;
    else pieces.push({ look, column, text: sign, color, inverse, bold: cell?.isBold(), dim: cell?.isDim() });
  }
  return pieces.filter(({ text, inverse }) => inverse || text.trim() !== '');
}

function drawn({ column, text, color, inverse, bold, dim }, row) {
  const [x, y] = [(16 + column * CELL_WIDTH).toFixed(1), 30 + row * CELL_HEIGHT];
  const width = (text.length * CELL_WIDTH).toFixed(1);
  const ground = inverse
    ? `<rect x="${x}" y="${y - 13}" width="${width}" height="${CELL_HEIGHT}" fill="${TEXT}"/>`
    : '';
  const style = `${bold ? ' font-weight="700"' : ''}${dim ? ' opacity=".5"' : ''}`;
  // Browsers do not agree any more on what keeps a space in a picture.
  const said = text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`).replaceAll(' ', '\u00a0');
  return `${ground}<text x="${x}" y="${y}" textLength="${width}" lengthAdjust="spacingAndGlyphs" fill="${color}"${style}>${said}</text>`;
}

/** Types the cluster's name wherever it is asked for, until the screen shows something else. */
async function confirmUntil(app, until, drawAs) {
  for (let first = true; ; first = false) {
    const screen = await app.shows(
      new RegExp(`Type the cluster's name \\(\\S+\\) to go on: *$|${until.source}`, 'm'),
    );
    if (until.test(screen)) return;
    if (first && drawAs) app.draw(drawAs);
    const step = /Step (\d+) of/.exec(screen)[1];
    app.type(`${NAME}${ENTER}`);
    await app.shows(new RegExp(`^(?![\\s\\S]*Step ${step} of)`));
  }
}

/** In the list of steps, where a question's rule may tell the same of a step. */
const RUNS_BESIDE_OTHERS = /^.◐ restore-\S+ +\d+ % +\S/m;

async function rescue() {
  const app = open();
  try {
    await app.shows(/fits what is seen/);
    app.draw('what-happened');
    app.type('d');
    await app.shows(/DRY RUN · [\s\S]* manifest$/m);
    app.type(ENTER);
    await app.shows(/nothing can be begun from here\.[\s\S]*n next/);
    app.draw('dry-run');
    app.type(ESCAPE);
    await app.shows(/fits what is seen/);
    app.type(ENTER);
    await app.shows(/ manifest$/m);
    app.draw('which-backup');
    app.type(ENTER);
    await app.shows(/Nothing has been touched/);
    app.draw('plan');
    app.type(ENTER);
    await confirmUntil(app, RUNS_BESIDE_OTHERS, 'confirm');
    app.draw('run');
    app.type(CTRL_C);
    await app.shows(/These run now/);
    app.draw('stop');
    app.type(ESCAPE);
    await app.shows(/q quit/);
    app.draw('report');
    app.type('l');
    await app.shows(/Log · /);
    // Without the commands, in which the place of this program stands.
    app.type('/');
    await app.shows(/Lines with/);
    app.type(`restore-postgres${ENTER}`);
    await app.shows(/with "restore-postgres"/);
    app.draw('log');
    app.type(ESCAPE);
    await app.shows(/all steps · UTC/);
    app.type(ESCAPE);
    await app.shows(/q quit/);
    app.type('u');
    await app.shows(/to put it back: *$/m);
    app.draw('undo');
    app.type(ESCAPE);
    await app.shows(/q quit/);
    app.type('q');
    await app.exited;
  } finally {
    app.end();
  }
}

/** Qdrant's vectors can come from several places; the run is stopped before any of them is begun. */
async function choices() {
  const app = open('qdrant-lost');
  try {
    await app.shows(/ manifest$/m);
    app.type(ENTER);
    await app.shows(/enter begin/);
    app.type(ENTER);
    await app.shows(/Where shall the vectors come from\?[\s\S]*enter answer/);
    app.draw('choices');
    app.type(ESCAPE);
    await app.shows(/n note/);
    app.type('n');
    await app.shows(/Note for the journal: *$/m);
    app.type('Qdrant was moved to a new disk; the old one is kept.');
    await app.shows(/is kept\./);
    app.draw('note');
    app.type(ENTER);
    await app.shows(/n note/);
    app.type('q');
    await app.shows(/❯ keep running/);
    app.type(DOWN);
    await app.shows(/❯ stop/);
    app.type(ENTER);
    await app.shows(/Aborted[\s\S]*q quit/);
    app.type('q');
    await app.exited;
  } finally {
    app.end();
  }
}

/** A dump that is not the one of its manifest, found before anything is dropped. */
async function failure() {
  const [backups] = sandboxProfile(NAME).backups;
  const set = readdirSync(backups).find((name) => !name.startsWith('.'));
  const dump = join(backups, set, 'postgres', 'novamem.dump');
  const { size } = statSync(dump);
  appendFileSync(dump, 'x');
  const app = open('whole-cluster-lost');
  try {
    await app.shows(/ manifest$/m);
    app.type(ENTER);
    await app.shows(/b begin all the same/);
    app.type('b');
    await confirmUntil(app, /r retry/);
    app.draw('failed');
  } finally {
    app.end();
    truncateSync(dump, size);
  }
}

/** The newest recovery is replayed, from the list of what was done and back to it. */
async function replay(app) {
  while (!/❯ .*Whole cluster lost +recovered/.test(await app.shows(/❯ \S/))) {
    const [chosen] = /❯ .*/.exec(await app.shows(/❯ \S/));
    app.type(DOWN);
    await app.shows(new RegExp(`❯ (?!${chosen.slice(2).replace(/[^\w ]/g, '.')})`));
  }
  app.type(ENTER);
  await app.shows(/p replay/);
  app.type('p');
  await app.shows(/REPLAY[\s\S]*Read the plan, and begin/);
  app.type(ENTER);
  await app.shows(/REPLAY[\s\S]*Type what you would/);
  app.draw('replay');
  app.type(`${NAME}${ENTER}`);
  await app.shows(/As then:/);
  app.type(CTRL_C);
  await app.shows(/p replay/);
  app.type(ESCAPE);
  await app.shows(/What was done here/);
}

async function history() {
  const app = open();
  try {
    await app.shows(/h history/);
    app.type('h');
    await app.shows(/What was done here/);
    app.draw('history');
    await replay(app);
    app.type(ESCAPE);
    await app.shows(/\? help/);
    app.type('?');
    await app.shows(/any key: back/);
    app.draw('help');
  } finally {
    app.end();
  }
}

/** The first lesson: its page, a prediction, and what is said to somebody who recovers too much. */
async function lesson() {
  const app = open('train');
  const pick = async (label) => {
    while (!(await app.shows(/❯ \S/)).includes(`❯ ${label}`)) {
      const [chosen] = /❯ .*/.exec(await app.shows(/❯ \S/));
      app.type(DOWN);
      await app.shows(new RegExp(`❯ (?!${chosen.slice(2, 22).replace(/[^\w ]/g, '.')})`));
    }
    app.type(ENTER);
  };
  try {
    await app.shows(/enter take it/);
    app.draw('lessons');
    await pick('Your first night on call');
    await app.shows(/enter start/);
    app.type(ENTER);
    await app.shows(/The pager/);
    app.type('d');
    await app.shows(/what they mean is for you to say/);
    app.draw('lesson-page');
    app.type(ENTER);
    await app.shows(/prediction 1 of 3/);
    app.draw('lesson-prediction');
    await pick('Qdrant lost');
    await app.shows(/prediction 2 of 3/);
    await pick('novamem');
    await app.shows(/prediction 3 of 3/);
    await pick('nothing');
    await app.shows(/fits what is seen/);
    await pick('Whole cluster lost');
    await app.shows(/ manifest$/m);
    app.type(ENTER);
    await app.shows(/enter begin/);
    app.type(ENTER);
    for (;;) {
      const screen = await app.shows(/to go on: *$|enter predict|enter go on|q done…/m);
      if (screen.includes('q done…')) break;
      if (/to go on: *$/m.test(screen)) {
        const [question] = /(asked by|question \d of \d:) \S+/.exec(screen);
        app.type(`${/lesson-\w+/.exec(screen)[0]}${ENTER}`);
        await app.shows(new RegExp(`^(?![\\s\\S]*${question} )`));
      } else {
        app.type(ENTER);
        await app.shows(screen.includes('enter predict') ? /enter go on/ : /^(?![\s\S]*enter go on)/);
      }
    }
    app.type('q');
    await app.shows(/❯ not yet/);
    await pick('it is');
    await app.shows(/DEBRIEF/);
    app.draw('debrief');
    app.type('q');
    await app.exited;
  } finally {
    app.end();
  }
}

try {
  await sandboxUp({ name: NAME, lives: 'process' });
  execFileSync(process.execPath, [PROGRAM, 'backup', '--profile', NAME], { stdio: 'ignore' });
  await loseEverything(NAME);
  await rescue();
  await choices();
  await failure();
  await history();
  await lesson();
} finally {
  await sandboxDown(NAME);
  rmSync(home, { recursive: true, force: true });
}
process.exit(0);
