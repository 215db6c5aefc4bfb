import { readFileSync } from 'node:fs';
import { StandIn, type StandInSettings } from './stand-in.js';

// The stand-in as a process of its own. Its settings hold secrets, so they come from a file and not from the arguments.
const standIn = new StandIn(JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as StandInSettings);
process.once('SIGTERM', () => void standIn.stop().then(() => process.exit(0)));
await standIn.start();
process.stdout.write(`the novamem stand-in listens on 127.0.0.1:${standIn.settings.port}\n`);
