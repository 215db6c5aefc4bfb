import { useSpace } from './frame.js';
import { useKeys } from './keys.js';
import { useReplay } from './replaying.js';
import { Scrolled } from './scrolled.js';
import { wrap } from './text.js';

const ABOUT =
  "Every step is looked at, explained, asked for where it destroys, done, proved against the backup, and recorded. Nothing destructive happens on a single key: it asks for the cluster's name in full.";

const KEYS = [
  '↑ ↓        choose            enter   open, use, begin',
  'tab        next step         esc     back; never starts or stops anything',
  'l          the log alone     n       write a note into the journal',
  '!          a shell           Ctrl-Z  stops this program, and its run, until fg',
  'r s u a    after a failure:  retry · skip · undo… · abort the run',
  "u          what can be put back, after a run too; asks for the cluster's name",
  'Ctrl-C     while something runs, asks what you want, and signals nothing by itself; else leaves',
  'q          quit (asks while something runs)',
  '',
  'space      more of the plan  v       the plan as text, to be copied',
  'c          answer a question, that of the chosen step first',
  'h          what was done here before',
  't          lessons: real disasters on a throw-away cluster (Ctrl-T there: a hint)',
  'd          a dry run of the scenario: every step and its commands, nothing touched',
  '',
  '✔ done  ◐ runs  ◑ proves  ? asks you  ✗ failed  - skipped  · waits  ! warning',
  '',
  'RTO        since its plan was opened, of what is expected (time, where no backup is brought back); no run is late for waiting for you',
  '~12 s      as in an earlier run; with a ? it is a guess: never measured',
  '',
  'Every line of output is in the run folder, whatever the screen shows.',
];

const ABOUT_REPLAY =
  'A REPLAY of what is on record: nothing is done, nothing can be touched, and no key changes that. Where somebody was asked then, you are: answer as you would, and see what was done.';

const REPLAY_KEYS = [
  'space p    pause, play      → ←     the next, the last event of weight',
  '+ -        faster, slower   e       the next error',
  'j 1-9      to a step        w       only watch: nothing is asked of you',
  'q Ctrl-C   leave            Ctrl-Z  stops this program until fg',
  '↑ ↓ tab    choose a step    l       the log at that moment',
  'enter      begin, answer    esc     look at the run first; c answers then',
  'r s u a    after a failure: what you would do',
  '',
  '▶ plays  ‖ paused  ? waits for you  ■ the end of the record',
  '✔ done  ◐ runs  ◑ proves  ? asks you  ✗ failed  - skipped  · waits  ! warning',
  '',
  'Where nothing was recorded for long, that time is shortened, and it is said.',
];

const ABOUT_DRY_RUN =
  'A dry run: every step was looked at, with the commands that it would run, and what it would destroy. Nothing was touched, and nothing can be begun from here.';

const DRY_RUN_KEYS = [
  'n →        the next step    p ←     the step before; before the first, the whole',
  '↑ ↓        scroll           space   a page further',
  'v          all steps as text, to be copied',
  '!          a shell          Ctrl-Z  stops this program until fg',
  'esc        back             Ctrl-C  leave',
  '',
  '✗ would be blocked  ! warning',
  '',
  '~12 s      as in an earlier run; with a ? it is a guess: never measured',
];

const ABOUT_LESSON =
  'A lesson: a real cluster of your own on this machine was really broken. Look around, predict, recover it as in an outage, then say that you are done (q on the list of scenarios, or at the end of a run). What came back is counted.';

const LESSON_KEYS = [
  'd          have the program look closer; it says what it sees, not what it means',
  '!          a shell that knows the way to each store; exit comes back',
  'enter      the predictions; the first answer counts',
  'Ctrl-T     a hint, for marks: a nudge, a direction, the answer',
  'q          done: recovered, or given up',
  'Ctrl-C     leave; while a run is at work it asks what to do with that first',
];

const WORDS = [
  'WHAT THE WORDS MEAN',
  'store      Postgres (every memory: the source of truth), Qdrant (a vector of each, to find what means the same), FalkorDB (a graph of what belongs together)',
  'novamem    the service in front of them; it may be alive (/live) and not healthy (/health)',
  'embed      have novamem make vectors again out of the memories; the queue: those that wait',
  'scenario   a disaster; its runbook is the list of steps that answers it',
  'backup set all stores at one moment; its manifest says what must be in it',
  'skew       how far apart the moments of its stores are',
  'RPO        how old what comes back is: what is younger may be missing',
  'RTO        how long it takes until all is healthy',
  'golden     searches that were made with the backup, and must find the same afterwards',
  'tier       one of the ways by which novamem finds: warm (Postgres: by words), cold (Qdrant: by meaning), graph (FalkorDB: by what belongs together)',
  'stray      a vector or a node of which Postgres has no memory, and the other way round',
  'payload    what Qdrant keeps beside a vector: whose it is, and of which memory',
  'collection the vectors of one user, or project, and namespace; an alias is a second name of one',
  'snapshot   a collection in a file, as Qdrant makes it; a dump is a Postgres database in a file',
  'WAL        the log in which Postgres writes each change first; an archive of it leads to any moment',
  'base       backup: a copy of the whole data directory, on which the WAL is replayed',
  'clean      replace a database in place, in one transaction',
  'swap       restore beside it, then exchange the names; the old one is kept',
  'safety     copy: what is replaced, kept before, so that u can put it back',
  'drill      a backup is really restored, into a throw-away cluster, and proved',
  'exception  something was skipped or accepted: recovered, but not all of it proved',
  'guard      a reason to believe that this is the wrong cluster or backup; it asks first',
  'lock       one run at a time works on a cluster',
  '',
  'WHAT THE MARKS MEAN',
  '◀ fits best   ● answers   ✗ blocked, failed or gone   ! look at this   ❯ > chosen',
  'DESTROYS   replaces what is there now; asks for the name of the cluster first',
];

const HELP = {
  run: [ABOUT, [...KEYS, '', ...WORDS]],
  'dry-run': [ABOUT_DRY_RUN, [...DRY_RUN_KEYS, '', ...WORDS]],
  replay: [ABOUT_REPLAY, REPLAY_KEYS],
  lesson: [ABOUT_LESSON, [...LESSON_KEYS, '', ...WORDS]],
} as const;

/** What the keys do, and what the words mean: of what `of` says, of a replay within one. */
export function HelpView({ of = 'run', onClose }: { of?: 'run' | 'dry-run' | 'lesson'; onClose: () => void }) {
  const { columns, bodyRows } = useSpace();
  const replay = useReplay();
  const [about, keys] = HELP[replay ? 'replay' : of];
  const lines = [...wrap(about, columns - 2), '', ...keys.flatMap((line) => wrap(line, columns - 2, 11))];
  const fits = lines.length <= bodyRows - 1;
  useKeys((input, key) => {
    const scrolls = key.upArrow || key.downArrow || key.pageUp || key.pageDown || input === ' ';
    if (fits || !scrolls) onClose();
  });
  return <Scrolled lines={lines} rows={bodyRows - 1} by="arrows and space" />;
}
