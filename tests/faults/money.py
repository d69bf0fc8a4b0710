"""pgbench's own workload (TPC-B): each transaction books one amount on an account, a teller and a branch, and notes it."""

import re
import subprocess
import threading

RUN_SECONDS = 2  # a client of pgbench ends at its first error: each run begins with all of them


class Money(threading.Thread):
    """Runs pgbench through that port all the time. `acknowledged`: transactions whose COMMIT was answered."""

    def __init__(self, servers, port, clients=4):
        super().__init__(daemon=True)
        self.servers, self.clients = servers, clients
        self.command = [servers.bin / "pgbench", "-h", "127.0.0.1", "-p", str(port), "-U", "openfire"]
        self.over = threading.Event()
        self.acknowledged, self.failed = 0, 0

    def __enter__(self):
        self.pgbench("-i", "-q", "-s", "2")
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(60)

    def pgbench(self, *args):
        done = subprocess.run([*self.command, *args, "openfire"], capture_output=True, text=True, check=False, timeout=120,
                              env={"PGPASSWORD": "openfire"})  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def run(self):
        while not self.over.wait(0.05):
            code, said = self.pgbench("-n", "-c", str(self.clients), "-T", str(RUN_SECONDS), "-M", "prepared")
            found = re.search(r"transactions actually processed: (\d+)", said)
            self.acknowledged += int(found[1]) if found else 0
            self.failed += self.clients if code and not found else said.count("aborted in command")

    def wrong(self, primary):
        """What does not add up there; empty if all does."""
        row = self.servers.sql("""SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
            (SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(delta) FROM pgbench_history),
            (SELECT count(*) FROM pgbench_history)""", primary, "openfire")[0]
        *sums, count = (int(value or 0) for value in row)
        if len(set(sums)) > 1:
            return f"sums of accounts, tellers, branches and history: {sums}"
        if not self.acknowledged <= count <= self.acknowledged + self.failed:
            return f"{count} transactions are there, {self.acknowledged} were acknowledged, {self.failed} are in doubt"
        return ""
