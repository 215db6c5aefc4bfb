import { Interview } from '../engine/profile-questions/interview.js';
import { EXIT } from '../problem.js';
import { print } from './print.js';
import { told } from './profile-told.js';
import { isLinear, loadScreens, readAlone, stopHere } from './terminal.js';

/** Asks for a profile on the screens of this terminal. */
export async function askForProfile(output: string | undefined): Promise<number> {
  const { openInterview } = await loadScreens();
  const interview = new Interview(output);
  await openInterview(
    interview,
    { shell: async () => {}, stop: () => stopHere(), read: readAlone, kill: async () => process.exit(EXIT.aborted) },
    isLinear(),
  );
  const { phase, file } = interview.getSnapshot();
  if (phase !== 'written') {
    print('No profile was written.');
    return EXIT.aborted;
  }
  print(`Written: ${file}`);
  return told(interview.name);
}
