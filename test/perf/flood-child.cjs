// Prints numbered lines at a steady pace for some seconds, and waits for whoever reads when the pipe is full.
const { writeSync } = require('node:fs');
const [, , perSecond, seconds] = process.argv.map(Number);
const TICK_MS = 10;
const begun = performance.now();
let printed = 0;
const tick = () => {
  const due = Math.min(perSecond * seconds, Math.floor(((performance.now() - begun) / 1000) * perSecond));
  while (printed < due) {
    let chunk = '';
    for (let n = 0; n < 500 && printed < due; n += 1) {
      printed += 1;
      chunk += `line ${printed} of table public.memory_entries\n`;
    }
    for (let rest = Buffer.from(chunk); rest.length > 0; rest = rest.subarray(write(rest)));
  }
  if (printed < perSecond * seconds) setTimeout(tick, TICK_MS);
};
const write = (bytes) => {
  try {
    return writeSync(1, bytes);
  } catch (error) {
    if (error.code !== 'EAGAIN') throw error;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    return 0;
  }
};
tick();
