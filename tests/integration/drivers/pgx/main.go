// pgx v5 with pgxpool and its cache of prepared statements: binary, described once. See ../README.md.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const ids = 40

var ways = []string{"alone", "alone", "alone", "alone", "alone", "alone", "alone", "block", "block", "read only"}

type statement struct {
	sql    string
	args   []string
	rows   int
	writes bool
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// load holds the counts of all connections.
type load struct {
	sync.Mutex
	plan                     map[string]string
	statements               []statement
	until                    time.Time
	rows, inserted, doubtful int
	slowest                  float64
	wrong                    []string
	errors                   map[string]int
}

func key(id int) string { return strconv.Itoa(id*7 + 12345) }

func read(path string) *load {
	l := &load{plan: map[string]string{}, errors: map[string]int{}}
	file, err := os.Open(path)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		f := strings.Split(lines.Text(), "\t")
		if f[0] != "statement" {
			l.plan[f[0]] = f[1]
			continue
		}
		rows, _ := strconv.Atoi(f[3])
		l.statements = append(l.statements, statement{f[1], strings.Fields(f[2]), rows, f[4] == "write"})
	}
	seconds, _ := strconv.ParseFloat(l.plan["seconds"], 64)
	l.until = time.Now().Add(time.Duration(seconds * float64(time.Second)))
	return l
}

func (l *load) note(err error, way string, tries int) string {
	state := "client"
	var said *pgconn.PgError
	if errors.As(err, &said) {
		state = said.Code
	}
	l.Lock()
	defer l.Unlock()
	l.errors[fmt.Sprintf("%s %s %d: %s", state, way, tries, firstLine(err))]++
	return state
}

func firstLine(err error) string {
	return strings.Split(strings.ReplaceAll(err.Error(), "\t", " "), "\n")[0]
}

type client struct {
	*load
	number, count int
	fresh         map[string]string // what makes a text another, which pgx prepares anew
}

type turn struct {
	*client
	statement
	way     string
	id      int
	inserts int
}

func (c *client) turn(way string) turn {
	t := turn{client: c, way: way, id: 1 + rand.Intn(ids)}
	for {
		t.statement = c.statements[rand.Intn(len(c.statements))]
		if !t.writes || way != "read only" {
			break
		}
	}
	for _, arg := range t.args {
		if arg == "new" {
			c.count++
			t.inserts, t.id = 1, c.number*1000000+c.count
		}
	}
	return t
}

func (t turn) text() string { return t.sql + t.fresh[t.sql] }

func (t turn) freshText() { t.fresh[t.sql] = fmt.Sprintf(" /* %d */", rand.Int31()) }

func (t turn) execute(ctx context.Context, conn querier) error {
	var args []any
	for _, arg := range t.args {
		switch arg {
		case "k", "open":
			args = append(args, key(t.id))
		default:
			args = append(args, t.id)
		}
	}
	before := time.Now()
	rows, err := conn.Query(ctx, t.text(), args...)
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToMap)
	if err != nil {
		return err
	}
	t.Lock()
	defer t.Unlock()
	if took := time.Since(before).Seconds(); took > t.slowest {
		t.slowest = took
	}
	if t.statement.rows != 0 && len(found) != t.statement.rows {
		t.wrong = append(t.wrong, fmt.Sprintf("%d rows: %s: %s %d", len(found), t.way, t.text(), t.id))
	}
	for _, row := range found {
		id := -1
		if n, ok := row["id"].(int32); ok {
			id = int(n)
		}
		right := id >= 0 && (t.statement.rows != 1 || id == t.id)
		for column, value := range row {
			right = right && (column == "id" || strings.TrimSuffix(fmt.Sprint(value), ".0") == key(id))
		}
		if !right {
			t.wrong = append(t.wrong, fmt.Sprintf("%v: %s: %s %d", row, t.way, t.text(), t.id))
		}
		t.load.rows++
	}
	return nil
}

func (c *client) counted(inserts int, sure bool) {
	c.Lock()
	defer c.Unlock()
	if sure {
		c.inserted += inserts
	} else {
		c.doubtful += inserts
	}
}

func (c *client) alone(ctx context.Context, conn querier) {
	t := c.turn("alone")
	for tries := 0; tries < 6; tries++ {
		err := t.execute(ctx, conn)
		if err == nil {
			c.counted(t.inserts, true)
			return
		}
		c.note(err, "alone", tries)
		if tries > 0 {
			t.freshText()
		}
	}
	c.counted(t.inserts, false)
}

func (c *client) block(ctx context.Context, conn *pgxpool.Conn, way string) error {
	mode := pgx.TxOptions{}
	if way == "read only" {
		mode.AccessMode = pgx.ReadOnly
	}
	tx, err := conn.BeginTx(ctx, mode)
	if err != nil {
		return err
	}
	inserts := 0
	for n := 0; n < 2; n++ {
		t := c.turn(way)
		inserts += t.inserts
		if err := t.execute(ctx, tx); err != nil {
			if c.note(err, way, 0) != "0A000" {
				t.freshText()
			}
			c.counted(inserts, false)
			return tx.Rollback(ctx)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		c.note(err, way, 1)
		c.counted(inserts, false)
		return nil
	}
	c.counted(inserts, true)
	return nil
}

func (c *client) run(ctx context.Context, pool *pgxpool.Pool) error {
	for time.Now().Before(c.until) {
		conn, err := pool.Acquire(ctx)
		if err != nil {
			return err
		}
		for n := 0; n < 10; n++ {
			way := ways[rand.Intn(len(ways))]
			if way == "alone" {
				c.alone(ctx, conn)
			} else if err := c.block(ctx, conn, way); err != nil {
				conn.Release()
				return err
			}
		}
		conn.Release()
	}
	return nil
}

// Usage: pgx PLAN; a line "mode" of the plan chooses another exec mode.
func main() {
	l := read(os.Args[1])
	ctx := context.Background()
	url := l.plan["url"] + "&pool_max_conns=" + l.plan["connections"]
	mode := "cache_statement"
	if l.plan["mode"] != "" {
		mode = l.plan["mode"]
	}
	pool, err := pgxpool.New(ctx, url+"&default_query_exec_mode="+mode)
	if err != nil {
		panic(err)
	}
	connections, _ := strconv.Atoi(l.plan["connections"])
	var all sync.WaitGroup
	for n := 1; n <= connections; n++ {
		all.Add(1)
		go func(n int) {
			defer all.Done()
			c := &client{load: l, number: n, fresh: map[string]string{}}
			if err := c.run(ctx, pool); err != nil {
				c.note(err, "fatal", 0)
			}
		}(n)
	}
	all.Wait()
	pool.Close()
	fmt.Printf("driver\tpgx v5 %s\nrows\t%d\ninserted\t%d\ndoubtful\t%d\nslowest\t%f\n", mode, l.rows, l.inserted, l.doubtful, l.slowest)
	for _, what := range l.wrong {
		fmt.Printf("wrong\t%s\n", strings.ReplaceAll(what, "\t", " "))
	}
	for what, count := range l.errors {
		fmt.Printf("error\t%d\t%s\n", count, what)
	}
}
