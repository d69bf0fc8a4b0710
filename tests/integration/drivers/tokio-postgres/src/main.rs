//! tokio-postgres: statements are prepared once and described once, rows come in binary. See ../README.md.
use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio_postgres::types::{to_sql_checked, FromSql, IsNull, Kind, ToSql, Type};
use tokio_postgres::{Client, NoTls, Row, Statement};

const IDS: i64 = 40;
const WAYS: [&str; 10] = ["alone", "alone", "alone", "alone", "alone", "alone", "alone", "block", "block", "read only"];

fn key(id: i64) -> String {
    (id * 7 + 12345).to_string()
}

/// A number or its text, whichever the statement takes.
#[derive(Debug)]
struct Argument(i64);

impl ToSql for Argument {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match *kind {
            Type::INT4 => (self.0 as i32).to_sql(kind, out),
            Type::INT8 => self.0.to_sql(kind, out),
            Type::FLOAT8 => (self.0 as f64).to_sql(kind, out),
            _ => self.0.to_string().to_sql(&Type::TEXT, out),
        }
    }
    fn accepts(_: &Type) -> bool {
        true
    }
    to_sql_checked!();
}

/// A value of whatever type the client was told, as text.
struct Value(String);

impl<'a> FromSql<'a> for Value {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Value(match *kind {
            Type::INT4 => i32::from_sql(kind, raw)?.to_string(),
            Type::INT8 => i64::from_sql(kind, raw)?.to_string(),
            Type::FLOAT8 => f64::from_sql(kind, raw)?.to_string(),
            _ => String::from_sql(&Type::TEXT, raw)?,
        }))
    }
    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT4 | Type::INT8 | Type::FLOAT8 | Type::TEXT) || matches!(kind.kind(), Kind::Enum(_))
    }
}

struct Text {
    sql: String,
    arguments: Vec<String>,
    rows: usize,
    writes: bool,
}

#[derive(Default)]
struct Counts {
    rows: u64,
    inserted: u64,
    doubtful: u64,
    slowest: f64,
    wrong: Vec<String>,
    errors: HashMap<String, u64>,
}

struct Load {
    plan: HashMap<String, String>,
    texts: Vec<Text>,
    until: Instant,
    counts: Mutex<Counts>,
}

impl Load {
    fn read(path: &str) -> Load {
        let (mut plan, mut texts) = (HashMap::new(), Vec::new());
        for line in std::fs::read_to_string(path).expect("the plan").lines() {
            let f: Vec<&str> = line.split('\t').collect();
            if f[0] == "statement" {
                let arguments = f[2].split_whitespace().map(String::from).collect();
                texts.push(Text { sql: f[1].into(), arguments, rows: f[3].parse().unwrap(), writes: f[4] == "write" });
            } else {
                plan.insert(f[0].to_string(), f[1].to_string());
            }
        }
        let seconds: f64 = plan["seconds"].parse().unwrap();
        Load { plan, texts, until: Instant::now() + Duration::from_secs_f64(seconds), counts: Mutex::default() }
    }

    fn note(&self, error: &tokio_postgres::Error, way: &str, tries: usize) -> String {
        let state = error.code().map_or("client".to_string(), |code| code.code().to_string());
        let why = error.source().map_or(String::new(), |source| source.to_string());
        let what = format!("{state} {way} {tries}: {error}: {why}").replace(['\t', '\n'], " ");
        *self.counts.lock().unwrap().errors.entry(what).or_default() += 1;
        state
    }

    fn count(&self, inserts: u64, sure: bool) {
        let mut counts = self.counts.lock().unwrap();
        if sure {
            counts.inserted += inserts;
        } else {
            counts.doubtful += inserts;
        }
    }
}

struct Turn<'a> {
    text: &'a Text,
    id: i64,
    inserts: u64,
}

struct Session<'a> {
    load: &'a Load,
    client: &'a Client,
    number: i64,
    count: i64,
    seed: u64,
    prepared: HashMap<&'a str, Statement>,
    fresh: HashMap<&'a str, String>, // what makes a text another one
}

impl<'a> Session<'a> {
    fn random(&mut self, below: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed % below as u64) as usize
    }

    fn turn(&mut self, way: &str) -> Turn<'a> {
        let load = self.load;
        let text = loop {
            let text = &load.texts[self.random(load.texts.len())];
            if !text.writes || way != "read only" {
                break text;
            }
        };
        if text.arguments.iter().any(|argument| argument == "new") {
            self.count += 1;
            return Turn { text, id: self.number * 1_000_000 + self.count, inserts: 1 };
        }
        Turn { text, id: 1 + self.random(IDS as usize) as i64, inserts: 0 }
    }

    /// It is prepared anew: as it is, or (`other`) as another text.
    fn forget(&mut self, turn: &Turn<'a>, other: bool) {
        self.prepared.remove(turn.text.sql.as_str());
        if other {
            let number = self.random(1 << 30);
            self.fresh.insert(&turn.text.sql, format!(" /* {number} */"));
        }
    }

    async fn execute(&mut self, turn: &Turn<'a>, way: &str) -> Result<(), tokio_postgres::Error> {
        let before = Instant::now();
        let sql = format!("{}{}", turn.text.sql, self.fresh.get(turn.text.sql.as_str()).map_or("", |more| more));
        if !self.prepared.contains_key(turn.text.sql.as_str()) {
            let statement = self.client.prepare(&sql).await?;
            self.prepared.insert(&turn.text.sql, statement);
        }
        let arguments: Vec<Argument> =
            turn.text.arguments.iter().map(|a| Argument(if a == "id" || a == "new" { turn.id } else { turn.id * 7 + 12345 })).collect();
        let arguments: Vec<&(dyn ToSql + Sync)> = arguments.iter().map(|a| a as &(dyn ToSql + Sync)).collect();
        let rows = self.client.query(&self.prepared[turn.text.sql.as_str()], &arguments).await?;
        self.check(turn, &rows, &format!("{way}: {sql} {}", turn.id), before.elapsed().as_secs_f64());
        Ok(())
    }

    fn check(&self, turn: &Turn, rows: &[Row], what: &str, seconds: f64) {
        let mut counts = self.load.counts.lock().unwrap();
        counts.slowest = counts.slowest.max(seconds);
        if turn.text.rows != 0 && rows.len() != turn.text.rows {
            counts.wrong.push(format!("{} rows: {what}", rows.len()));
        }
        for row in rows {
            let values: Result<Vec<(&str, String)>, _> =
                row.columns().iter().enumerate().map(|(at, c)| row.try_get::<_, Value>(at).map(|v| (c.name(), v.0))).collect();
            let right = values.as_ref().is_ok_and(|values| {
                let id: Option<i64> = values.iter().find(|(name, _)| *name == "id").and_then(|(_, value)| value.parse().ok());
                let told = id.map(key);
                id.is_some()
                    && (turn.text.rows != 1 || id == Some(turn.id))
                    && values.iter().all(|(name, value)| *name == "id" || Some(value) == told.as_ref())
            });
            if !right {
                counts.wrong.push(format!("{values:?}: {what}").replace(['\t', '\n'], " "));
            }
            counts.rows += 1;
        }
    }

    async fn alone(&mut self) {
        let turn = self.turn("alone");
        for tries in 0..6 {
            match self.execute(&turn, "alone").await {
                Ok(()) => return self.load.count(turn.inserts, true),
                Err(error) => {
                    self.load.note(&error, "alone", tries);
                    self.forget(&turn, tries > 0);
                }
            }
        }
        self.load.count(turn.inserts, false);
    }

    async fn block(&mut self, way: &str) -> Result<(), tokio_postgres::Error> {
        self.client.batch_execute(if way == "block" { "BEGIN" } else { "BEGIN READ ONLY" }).await?;
        let mut inserts = 0;
        for _ in 0..2 {
            let turn = self.turn(way);
            inserts += turn.inserts;
            if let Err(error) = self.execute(&turn, way).await {
                let state = self.load.note(&error, way, 0);
                self.forget(&turn, state != "0A000");
                self.load.count(inserts, false);
                return self.client.batch_execute("ROLLBACK").await;
            }
        }
        self.client.batch_execute("COMMIT").await?;
        self.load.count(inserts, true);
        Ok(())
    }
}

async fn run(load: Arc<Load>, number: i64) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(&load.plan["url"], NoTls).await?;
    tokio::spawn(connection);
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64 ^ (number as u64) << 40;
    let mut session =
        Session { load: &load, client: &client, number, count: 0, seed, prepared: HashMap::new(), fresh: HashMap::new() };
    while Instant::now() < load.until {
        match WAYS[session.random(WAYS.len())] {
            "alone" => session.alone().await,
            way => session.block(way).await?,
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() {
    let load = Arc::new(Load::read(&std::env::args().nth(1).expect("load PLAN")));
    let connections: i64 = load.plan["connections"].parse().unwrap();
    let tasks: Vec<_> = (1..=connections).map(|number| tokio::spawn(run(load.clone(), number))).collect();
    for task in tasks {
        if let Err(error) = task.await.expect("no panic") {
            load.note(&error, "fatal", 0);
        }
    }
    let counts = load.counts.lock().unwrap();
    println!("driver\ttokio-postgres\nrows\t{}\ninserted\t{}\ndoubtful\t{}", counts.rows, counts.inserted, counts.doubtful);
    println!("slowest\t{:.3}", counts.slowest);
    counts.wrong.iter().for_each(|what| println!("wrong\t{what}"));
    counts.errors.iter().for_each(|(what, count)| println!("error\t{count}\t{what}"));
}
