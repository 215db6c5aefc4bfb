import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempFolder } from './temp.js';

/**
 * A stand-in for the program `aws`, as far as an archive needs it (`s3 cp` of one file either way, `s3api head-object`), in its
 * words for what is absent. It signs nothing. Answers the folder to be put first on the PATH; any user may run it.
 */
export function awsStandIn(): string {
  const folder = tempFolder('aws');
  const file = join(folder, 'aws');
  writeFileSync(file, `#!${process.execPath}\n${SCRIPT}`);
  chmodSync(folder, 0o755);
  chmodSync(file, 0o755);
  return folder;
}

const SCRIPT = `
const { readFileSync, writeFileSync } = require('node:fs');
const words = process.argv.slice(2);
const valueOf = (name) => words.includes(name) ? words.splice(words.indexOf(name), 2)[1] : undefined;
const endpoint = valueOf('--endpoint-url');
valueOf('--region');
const [bucket, key] = [valueOf('--bucket'), valueOf('--key')];
const [, , ...places] = words.filter((word) => !word.startsWith('--'));
const urlOf = (place) => endpoint + '/' + place.slice(5);
const fail = (why) => { process.stderr.write(why + '\\n'); process.exit(1); };
const asked = (status, operation) => status === 404
  ? fail('fatal error: An error occurred (404) when calling the ' + operation + ' operation: Key does not exist')
  : fail('fatal error: An error occurred (' + status + ') when calling the ' + operation + ' operation');
(async () => {
  if (words[1] === 'head-object') {
    const { status } = await fetch(endpoint + '/' + bucket + '/' + key, { method: 'HEAD' });
    return status === 200 ? undefined : asked(status, 'HeadObject');
  }
  const [from, to] = places;
  if (from.startsWith('s3://')) {
    const answer = await fetch(urlOf(from));
    if (answer.status !== 200) return asked(answer.status, 'HeadObject');
    writeFileSync(to, Buffer.from(await answer.arrayBuffer()));
  } else {
    const answer = await fetch(urlOf(to), { method: 'PUT', body: readFileSync(from) });
    if (answer.status !== 200) asked(answer.status, 'PutObject');
  }
})().catch((error) => fail('Could not connect to the endpoint URL: ' + endpoint + ': ' + error.message));
`;
