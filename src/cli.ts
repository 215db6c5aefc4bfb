import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { told } from './commands/print.js';
import { programVersion } from './config/package-root.js';
import { DIFFERENCES, type Difference } from './engine/differences.js';
import { EXIT, Problem } from './problem.js';
import { messageOf } from './words.js';

// Arguments to one command. Each command's own code is loaded when it is called, so that --help and --version stay instant.

const program = new Command('novamem-runbook')
  .description(
    'Recover a novamem cluster (Postgres, Qdrant, FalkorDB, novamem) from the terminal: every step checked, confirmed, done, proved and recorded.',
  )
  .version(programVersion())
  .exitOverride()
  .showHelpAfterError('(novamem-runbook --help tells what there is)')
  .configureHelp({ showGlobalOptions: true, minWidthToWrap: 20 });

let exitCode: number = EXIT.recovered;

/** Runs a command's own module and keeps its exit code. */
const calls =
  <Args extends unknown[]>(load: () => Promise<(...args: Args) => Promise<number>>) =>
  async (...args: unknown[]) => {
    // Commander hands over the options and, last, the command. An option that the program and its command both know (--profile)
    // is kept with the program, wherever it stands: both are asked.
    const command = args.at(-1) as Command;
    exitCode = await (await load())(...([...args.slice(0, -2), command.optsWithGlobals()] as Args));
  };

const profileOption = () =>
  new Option('-p, --profile <name|file>', 'the cluster: a profile file, a remembered name, or a sandbox');
const backupOption = () =>
  new Option('-b, --backup <id|path|latest>', 'the backup set to restore from').default('latest');
const jsonOption = () => new Option('--json', 'machine-readable output on stdout, and nothing else there');
const setOption = () =>
  new Option('-s, --set <step.param=value>', 'change one parameter of a step (repeatable)')
    .default([])
    .argParser((value: string, all: string[]) => [...all, value]);
const acceptOption = () =>
  new Option('--accept <difference>', 'go on although this is another one than was expected (repeatable)')
    .choices([...DIFFERENCES])
    .default([])
    .argParser((value: string, all: string[]) => {
      if (!(DIFFERENCES as readonly string[]).includes(value))
        throw new InvalidArgumentError(`one of ${DIFFERENCES.join(', ')} is needed.`);
      return [...all, value];
    });
const takeOverOption = () =>
  new Option('--take-over', 'put the lock of a run aside that has not been heard of for a while');
const nameOption = () => new Option('--name <name>', 'which sandbox').default('sandbox');

const count = (text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('a whole number is needed.');
  return Number(text);
};

const speed = (text: string): number => {
  if (!/^\d{1,4}(\.\d{1,3})?$/.test(text)) throw new InvalidArgumentError('a number from 0 to 9999 is needed.');
  return Number(text);
};

program
  .argument('[scenario]', 'go straight into this scenario')
  .addOption(profileOption())
  .addOption(backupOption())
  .addOption(setOption())
  .option(
    '--screen-reader',
    'the terminal app as lines that are read aloud: nothing drawn over, states and progress as words',
  )
  .hook('preAction', (_, command) => {
    if (command.optsWithGlobals().screenReader) process.env.NOVAMEM_RUNBOOK_SCREEN_READER = '1';
  })
  .action(calls(async () => (await import('./commands/open.js')).openCommand))
  .addHelpText(
    'after',
    `
The terminal app: NO_COLOR=1 takes the colours away; NOVAMEM_RUNBOOK_SCREEN_READER=1 is --screen-reader for good.
On a terminal that shows plain lines only (TERM=dumb) it is --screen-reader anyway. Nothing can tidy a terminal after
kill -9: type tput rmcup; stty sane; tput cnorm
and then novamem-runbook resume.`,
  );

program
  .command('run <scenario>')
  .description('run a scenario (or a runbook file): in the terminal app, or with --headless without a person')
  .addOption(profileOption())
  .option('--headless', 'without a person: plain lines, exit code by outcome')
  .option('--confirm <cluster>', "the cluster's name, which allows the destructive steps of a headless run")
  .addOption(backupOption())
  .addOption(setOption())
  .addOption(acceptOption())
  .addOption(takeOverOption())
  .addOption(jsonOption())
  .action(calls(async () => (await import('./commands/run.js')).runCommand));

program
  .command('resume [run]')
  .description('go on with a run that was broken off: reality is asked first, nothing that is done is done again')
  .addOption(profileOption())
  .option('--headless', 'without a person: plain lines, exit code by outcome')
  .option('--confirm <cluster>', "the cluster's name, which allows the destructive steps that are left")
  .addOption(acceptOption())
  .addOption(takeOverOption())
  .addOption(jsonOption())
  .action(calls(async () => (await import('./commands/resume.js')).resumeCommand));

program
  .command('undo [run]')
  .description("put back what a run has replaced: says what, and does it once --confirm gives the cluster's name")
  .addOption(profileOption())
  .option('--step <id>', 'this step, and before it whatever builds on it; otherwise all of them, the last first')
  .option('--confirm <cluster>', "the cluster's name")
  .addOption(acceptOption())
  .addOption(takeOverOption())
  .addOption(jsonOption())
  .action(calls(async () => (await import('./commands/undo.js')).undoCommand));

program
  .command('replay <run>')
  .description('walk through a recorded run again (an id, a part of it, a folder, or latest): nothing is done')
  .option('--speed <times>', 'times the pace at which it was recorded; 0: step by step', speed)
  .option('--json', 'the recorded events, one a line, and nothing else on stdout')
  .action(calls(async () => (await import('./commands/replay.js')).replayCommand))
  .addHelpText(
    'after',
    `
In a terminal: the screens of the run, marked REPLAY; where somebody was asked
then, you are. ? tells the keys. Off a terminal: its plain lines, at once, or
with --speed as they came. A run's folder that was copied from another machine
is replayed by its path.`,
  );

program
  .command('train [lesson]')
  .description(
    'real disasters on a real throw-away cluster, coached and scored: a lesson of the list, or a lesson file',
  )
  .option('--as <name>', 'whose history it belongs to; otherwise the name of this account')
  .option('--list', 'every lesson, and how you stand in it')
  .addOption(
    new Option('--play <way>', 'have the program play it as the lesson is written').choices(['right', 'wrong']),
  )
  .option('--history', 'the lessons that were taken, and the marks')
  .option('--certificate', 'which lessons were passed, in Markdown')
  .action(calls(async () => (await import('./commands/train.js')).trainCommand));

program
  .command('diagnose')
  .description('look at the cluster (reads only, at most 10 s): what is seen, which scenario fits, and why')
  .addOption(profileOption())
  .addOption(jsonOption())
  .action(calls(async () => (await import('./commands/diagnose.js')).diagnoseCommand));

program
  .command('plan <scenario>')
  .description('dry run: what would be done, with the exact commands and what is found now; touches nothing')
  .addOption(profileOption())
  .addOption(backupOption())
  .addOption(setOption())
  .addOption(
    new Option('--format <format>', 'text, or job: the manifest of a Kubernetes Job that runs it in the cluster')
      .choices(['text', 'job'])
      .default('text'),
  )
  .option('--image <image>', 'the image of that Job', 'novamem-runbook')
  .addOption(jsonOption())
  .action(calls(async () => (await import('./commands/plan.js')).planCommand));

program
  .command('backup')
  .description('take a backup set of all three stores (the runbook "backup", headless)')
  .addOption(profileOption())
  .addOption(setOption())
  .addOption(acceptOption())
  .addOption(takeOverOption())
  .addOption(jsonOption())
  .action(
    calls(async () => {
      const { runCommand } = await import('./commands/run.js');
      return (options: { profile?: string; set: string[]; json?: boolean; accept: Difference[] }) =>
        runCommand('backup', { ...options, backup: 'latest', headless: true });
    }),
  );

program
  .command('drill')
  .description(
    'put a backup to the proof: restored into a throw-away cluster by the own runbook, compared and searched',
  )
  .addOption(profileOption())
  .option(
    '-b, --backup <id|path|latest|yesterday>',
    'the backup set (yesterday: the newest of that day, UTC)',
    'latest',
  )
  .option('--scenario <scenario>', 'whose runbook restores it, or a runbook file', 'whole-cluster-lost')
  .option('--junit <file>', 'write what was compared as a JUnit file')
  .option('--keep', 'leave the throw-away cluster up at the end')
  .addOption(setOption())
  .addOption(acceptOption())
  .addOption(jsonOption())
  .action(calls(async () => (await import('./commands/drill.js')).drillCommand));

const backups = program.command('backups').description('the backup sets of a cluster');
backups
  .command('list')
  .description('every backup set below the roots that the profile names, newest first')
  .addOption(profileOption())
  .addOption(jsonOption())
  .action(calls(async () => (await import('./commands/backups.js')).backupsListCommand));
backups
  .command('verify <id|path|latest>')
  .description('read every file of a backup set and compare it with the manifest')
  .addOption(profileOption())
  .action(calls(async () => (await import('./commands/backups.js')).backupsVerifyCommand));

backups
  .command('adopt <folder>')
  .description('give a folder of loose files a manifest, and say what cannot be proven about them')
  .option('--cluster <name>', 'the cluster that they come from')
  .addOption(profileOption())
  .action(calls(async () => (await import('./commands/backups.js')).backupsAdoptCommand));
backups
  .command('prune')
  .description("remove old sets: says which, and does it once --confirm gives the cluster's name")
  .addOption(profileOption())
  .requiredOption('--keep <count>', 'how many of the newest sets stay', count)
  .option('--confirm <cluster>', "the cluster's name")
  .action(calls(async () => (await import('./commands/backups.js')).backupsPruneCommand));

const runs = program.command('runs').description('the recorded runs');
runs
  .command('list')
  .description('every recorded run, newest first')
  .addOption(jsonOption())
  .action(calls(async () => (await import('./commands/runs.js')).runsListCommand));
runs
  .command('show <run>')
  .description('what happened in a run (an id, a part of it, a folder, or latest)')
  .action(calls(async () => (await import('./commands/runs.js')).runsShowCommand));
runs
  .command('verify <run>')
  .description("check the chain of a run's journal")
  .action(calls(async () => (await import('./commands/runs.js')).runsVerifyCommand));

program
  .command('report <run>')
  .description('the report of a run, made again from its journal')
  .option('--format <md|html|junit|json|cast>', 'what to print', 'md')
  .action(calls(async () => (await import('./commands/runs.js')).reportCommand));

const sandbox = program.command('sandbox').description('a real throw-away cluster on this machine');
sandbox
  .command('up')
  .description('start it and fill it')
  .addOption(nameOption())
  .option('--memories <count>', 'how many memories it holds', count)
  .action(calls(async () => (await import('./commands/sandbox.js')).sandboxUpCommand));
sandbox
  .command('down')
  .description('end every process of it and remove its folder')
  .addOption(nameOption())
  .action(calls(async () => (await import('./commands/sandbox.js')).sandboxDownCommand));
sandbox
  .command('status')
  .description('every sandbox and what of it runs')
  .addOption(jsonOption())
  .action(calls(async () => (await import('./commands/sandbox.js')).sandboxStatusCommand));
sandbox
  .command('break [disaster]')
  .description('do real damage to it; without a name one is chosen and not told')
  .addOption(nameOption())
  .option('--list', 'what can happen')
  .option('--seed <seed>', 'which is chosen: the same for the same seed')
  .option('--reveal', 'do nothing, but say what a seed has chosen')
  .action(calls(async () => (await import('./commands/sandbox-break.js')).sandboxBreakCommand));
sandbox
  .command('profile')
  .description('print its profile, an example for your own')
  .addOption(nameOption())
  .action(calls(async () => (await import('./commands/sandbox.js')).sandboxProfileCommand));

const profile = program.command('profile').description('how to reach a cluster');
profile
  .command('add [file]')
  .description(
    'check a profile file and remember it; without a file: ask, try each connection at once, and write one',
  )
  .option('-o, --output <file>', 'where what was answered is written; otherwise into the folder of this program')
  .action(calls(async () => (await import('./commands/profile.js')).profileAddCommand));
profile
  .command('import-env <files...>')
  .description("make a profile from novamem's own .env or Compose files, try it, and remember it")
  .option('--name <name>', 'what it is called; otherwise as the Compose project')
  .option('-o, --output <file>', 'where it is written (-: only printed); otherwise into the folder of this program')
  .addOption(jsonOption())
  .action(calls(async () => (await import('./commands/profile-import.js')).profileImportCommand));
profile
  .command('list')
  .description('every remembered profile')
  .addOption(jsonOption())
  .action(calls(async () => (await import('./commands/profile.js')).profileListCommand));
profile
  .command('show [name]')
  .description('a profile with all its defaults; it holds no secrets')
  .addOption(jsonOption())
  .action(calls(async () => (await import('./commands/profile.js')).profileShowCommand));
profile
  .command('use <name>')
  .description('make it the one that is used when none is named')
  .action(calls(async () => (await import('./commands/profile.js')).profileUseCommand));
profile
  .command('remove <name>')
  .description('forget it; a file of your own stays where it is')
  .action(calls(async () => (await import('./commands/profile.js')).profileRemoveCommand));

program
  .command('status')
  .description('the newest backup, the last proven restore, past drills, when the next is due (asks no server)')
  .addOption(profileOption())
  .addOption(
    new Option('--format <format>', 'how it is told').choices(['text', 'json', 'prometheus']).default('text'),
  )
  .action(calls(async () => (await import('./commands/status.js')).statusCommand))
  .addHelpText(
    'after',
    `
Exit code 0: a restore was proven, no drill is due, the last one did not fail, and there is a backup. 1: one of these is not so.
For node_exporter's textfile collector, written so that it never reads half of it (status exits 1 just when it matters):
  cd /var/lib/node_exporter
  novamem-runbook status --profile acme-prod --format prometheus > acme-prod.prom.$$
  [ -s acme-prod.prom.$$ ] && mv acme-prod.prom.$$ acme-prod.prom || rm -f acme-prod.prom.$$`,
  );

program
  .command('doctor')
  .description('what is missing for which scenario on this cluster, and how to get it (reads only)')
  .addOption(profileOption())
  .addOption(jsonOption())
  .action(calls(async () => (await import('./commands/doctor.js')).doctorCommand));

program
  .command('validate [files...]')
  .description('check runbooks, lessons and profiles: faults with file, line and column')
  .option('--all', 'those that come with the program, too')
  .addOption(new Option('--write-schema', "write the editors' schemas and the manual page anew").hideHelp())
  .action(
    calls(async () => {
      const { validateCommand } = await import('./commands/validate.js');
      return (files: string[], options: { all?: boolean; writeSchema?: boolean }) =>
        validateCommand(files, options, program);
    }),
  );

program
  .command('completion')
  .description(
    'print what a shell needs to complete commands, options, profiles, runs; its first lines say where to put it',
  )
  .addArgument(new Argument('<shell>', 'which one').choices(['bash', 'zsh', 'fish']))
  .action(calls(async () => (await import('./commands/completion.js')).completionCommand));

program.command('complete-words [words...]', { hidden: true }).action(
  calls(async () => {
    const { completeWordsCommand } = await import('./commands/completion.js');
    return (words: string[]) => completeWordsCommand(program, words);
  }),
);

program
  .command('demo')
  .description('a whole disaster and its recovery on real throw-away servers')
  .option('--keep', 'leave the sandbox up at the end')
  .action(calls(async () => (await import('./commands/demo.js')).demoCommand));

// Whoever read our output has gone away (`| head`, a terminal that was closed): what runs is ended by its own rules all the same.
const GONE = ['EPIPE', 'EIO', 'ENXIO'];
for (const stream of [process.stdin, process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (!GONE.includes(error.code ?? '')) throw error;
  });

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) exitCode = error.exitCode === 0 ? EXIT.recovered : EXIT.usage;
  else if (error instanceof Problem) {
    process.stderr.write(`${told(error.lines().join('\n'))}\n`);
    exitCode = error.exitCode;
  } else {
    const stack = (error as Error).stack?.split('\n').slice(1, 6).join('\n') ?? '';
    process.stderr.write(`${told(`An error that should not be: ${messageOf(error)}\n${stack}`)}\n`);
    exitCode = EXIT.stepFailed;
  }
}
process.exitCode = exitCode;
// A question that a server never answers would keep this process waiting.
setTimeout(() => process.exit(), 250).unref();
