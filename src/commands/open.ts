import type { ScenarioOptions } from './open-scenarios.js';
import { isAtTerminal, isLinear } from './terminal.js';

/** Without a command: the terminal app. That it begins is seen before what it needs is loaded. */
export async function openCommand(scenario: string | undefined, options: ScenarioOptions): Promise<number> {
  if (!isAtTerminal() || isLinear()) return (await import('./open-scenarios.js')).openScenarios(scenario, options);
  const { showFirstPicture, takeAwayFirstPicture } = await import('../screens/first-picture.js');
  showFirstPicture(options.profile ?? 'novamem-runbook');
  try {
    return await (await import('./open-scenarios.js')).openScenarios(scenario, options);
  } finally {
    takeAwayFirstPicture();
  }
}
