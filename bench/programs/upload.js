// Uploads one snapshot file as a restore does it.
import { profileSchema } from '../../dist/config/profile.js';
import { openGateway } from '../../dist/hosts/gateway.js';
import { Qdrant } from '../../dist/stores/qdrant/connection.js';
import { uploadSnapshot } from '../../dist/stores/qdrant/transfer.js';
import { onGo } from '../program.js';

const [, , url, file, sha256] = process.argv;
const { qdrant } = profileSchema.parse({
  name: 'bench',
  postgres: { url: 'postgres://novamem@127.0.0.1:1/novamem' },
  qdrant: { url },
  falkordb: { url: 'redis://127.0.0.1:1' },
});
const gateway = openGateway(() => {});
let told = 0;
onGo(async () => {
  const upload = { collection: 'novamem_bench', file, sha256, uploadName: 'bench.snapshot' };
  await uploadSnapshot(gateway, new Qdrant(qdrant), upload, {
    onBytes: (bytes) => {
      told += bytes;
    },
  });
  return { told };
});
