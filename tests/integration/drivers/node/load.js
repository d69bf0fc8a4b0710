// node-postgres: named statements on the connections of its pool; it describes what it reads each time, in text.
'use strict';
const fs = require('fs');
const {Pool} = require('pg');
const version = require('pg/package.json').version;

const IDS = 40;
const WAYS = [...Array(7).fill('alone'), 'block', 'block', 'read only'];
const plan = {statements: []};
for (const line of fs.readFileSync(process.argv[2], 'utf8').trimEnd().split('\n')) {
  const [name, ...values] = line.split('\t');
  if (name !== 'statement') plan[name] = values[0];
  else plan.statements.push({sql: values[0], args: values[1].split(' ').filter(Boolean), rows: Number(values[2]), write: values[3] === 'write'});
}
const until = Date.now() + 1000 * plan.seconds;
const counts = {rows: 0, inserted: 0, doubtful: 0, slowest: 0};
const wrong = [], errors = {};

const key = (id) => String(id * 7 + 12345);
const any = (list) => list[Math.floor(Math.random() * list.length)];

class Client {
  constructor(pool, number) {
    this.pool = pool;
    this.number = number;
    this.count = 0;
    this.names = {};  // of the statements that were prepared anew
    this.next = 0;
  }

  turn(way) {
    const statement = any(plan.statements.filter((s) => !(s.write && way === 'read only')));
    const inserts = statement.args.includes('new');
    return {statement, way, inserts, id: inserts ? this.number * 1000000 + ++this.count : 1 + Math.floor(Math.random() * IDS)};
  }

  // It never prepares a name twice: another is the way to prepare anew.
  prepareAnew(statement) { this.names[statement.sql] = ++this.next; }

  async execute(conn, {statement, way, id}) {
    const number = this.names[statement.sql] || 0;
    const name = `${this.number}.${plan.statements.indexOf(statement)}.${number}`;
    const values = statement.args.map((arg) => ({id, new: id, k: key(id), open: key(id)})[arg]);
    const text = number ? `${statement.sql} /* ${name} */` : statement.sql;
    const before = Date.now();
    const {rows} = await conn.query({name, text, values});
    counts.slowest = Math.max(counts.slowest, (Date.now() - before) / 1000);
    if (statement.rows && rows.length !== statement.rows) wrong.push(`${rows.length} rows: ${way}: ${text} ${id}`);
    for (const row of rows) {
      const right = Object.entries(row).every(([column, value]) => column === 'id' || String(value) === key(row.id));
      if (!right || (statement.rows === 1 && row.id !== id)) wrong.push(`${JSON.stringify(row)}: ${way}: ${text} ${id}`);
      counts.rows++;
    }
  }

  note(error, way, tries) {
    const what = `${error.code || error.name} ${way} ${tries}: ${error.message.split('\n')[0]}`;
    errors[what] = (errors[what] || 0) + 1;
  }

  async alone(conn) {
    const turn = this.turn('alone');
    for (let tries = 0; tries < 6; tries++) {
      try {
        await this.execute(conn, turn);
        counts.inserted += turn.inserts;
        return;
      } catch (error) {
        this.note(error, 'alone', tries);
        this.prepareAnew(turn.statement);
      }
    }
    counts.doubtful += turn.inserts;
  }

  async block(conn, way) {
    let inserts = 0, turn;
    try {
      await conn.query(way === 'read only' ? 'BEGIN READ ONLY' : 'BEGIN');
      for (let n = 0; n < 2; n++) {
        turn = this.turn(way);
        inserts += turn.inserts;
        await this.execute(conn, turn);
      }
      await conn.query('COMMIT');
      counts.inserted += inserts;
    } catch (error) {
      this.note(error, way, 0);
      counts.doubtful += inserts;
      this.prepareAnew(turn.statement);
      await conn.query('ROLLBACK');
    }
  }

  async run() {
    const conn = await this.pool.connect();
    try {
      while (Date.now() < until) {
        const way = any(WAYS);
        await (way === 'alone' ? this.alone(conn) : this.block(conn, way));
      }
    } catch (error) {
      this.note(error, 'fatal', 0);
    } finally {
      conn.release();
    }
  }
}

async function main() {
  const pool = new Pool({connectionString: plan.url, max: Number(plan.connections)});
  pool.on('error', (error) => { errors[`fatal: ${error.message}`] = 1; });
  await Promise.all([...Array(Number(plan.connections)).keys()].map((n) => new Client(pool, n + 1).run()));
  await pool.end();
  const line = (...fields) => console.log(fields.map((field) => String(field).replace(/[\t\n]/g, ' ')).join('\t'));
  line('driver', `node-postgres ${version}`);
  for (const [name, count] of Object.entries(counts)) line(name, count);
  for (const what of wrong) line('wrong', what);
  for (const [what, count] of Object.entries(errors)) line('error', count, what);
}

main();
