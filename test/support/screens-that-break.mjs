// Loaded into the real program before it starts (node --import), which is started from its modules and not from its bundle: its screens break, as they would by a fault of their own, in what
// they draw once a run asks for something, or (BREAKS=key) in what a key does at the plan. What else asks the run is answered as ever.
import { Desk } from '../../dist/engine/desk.js';

const { look, stopLooking } = Desk.prototype;
const inKey = process.env.BREAKS === 'key';
let screens = 'whole';

Desk.prototype.look = function () {
  look.call(this);
  const timer = setInterval(() => {
    const run = this.lastShown;
    const { phase, attention } = run?.getSnapshot() ?? { attention: [] };
    if (screens !== 'whole' || !(inKey ? phase === 'planned' : attention.length > 0)) return;
    clearInterval(timer);
    screens = 'broken';
    const name = inKey ? 'intend' : 'getSnapshot';
    const whole = run[name];
    run[name] = (...args) => {
      if (screens === 'broken') throw new Error('a fault in a screen');
      return whole.apply(run, args);
    };
  }, 20);
  timer.unref();
};

/** The last that is asked of the desk when the screens are closed. */
Desk.prototype.stopLooking = function () {
  stopLooking.call(this);
  if (screens === 'broken') screens = 'closed';
};
