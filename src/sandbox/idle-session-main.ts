import pg from 'pg';

// A session that reads a table in a transaction, and forgets to end it, as a process of its own. Where the server is, and who it says
// that it is, comes from the environment. It ends once the server has ended its connection.
const client = new pg.Client();
client.on('error', () => process.exit(0));
client.on('end', () => process.exit(0));
await client.connect();
await client.query('BEGIN');
await client.query(`LOCK TABLE ${process.argv[2]} IN ACCESS SHARE MODE`);
