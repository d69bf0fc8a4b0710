"""Completion in bash, zsh and fish: each offers every command and every option that --help shows. Asked of the shells themselves."""

import os
import pty
import re
import select
import subprocess
import time

import pytest
from cluster import ROOT
from waypost import BINARY

pytestmark = pytest.mark.proxy

COMPLETIONS = ROOT / "deploy/completions"
SHELLS = ("bash", "zsh", "fish")


def help_of(*command):
    return subprocess.run([BINARY, *command, "--help"], capture_output=True, text=True, timeout=60, check=True).stdout


def commands_in(text):
    return {found[1] for found in re.finditer(r"^  ([a-z][a-z-]*)( |$)", text, re.M)}


def options_in(text):
    return {found[1] for found in re.finditer(r"^ +(?:-\w,)?(--[a-z-]+)", text, re.M)}


class Bash:
    def offers(self, *words):
        script = (f'source {COMPLETIONS}/waypost; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _waypost "{BINARY}"; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "-c", script, "-", "waypost", *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.stderr == "", done.stderr
        return set(done.stdout.split())

    def close(self):
        pass


class Fish:
    def offers(self, *words):
        script = f"function waypost; {BINARY} $argv; end; source {COMPLETIONS}/waypost.fish; complete -C 'waypost {' '.join(words)}'"
        done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, timeout=60, check=False)
        assert done.stderr == "", done.stderr
        return {offer.split("\t")[0] for offer in done.stdout.splitlines()}

    def close(self):
        pass


class Zsh:
    """One that reads from a terminal: only there it completes. Ctrl+D lists what may follow."""

    def __init__(self, folder):
        (folder / "waypost").symlink_to(BINARY)
        (folder / ".zshrc").write_text(
            f"PS1='READY> '; fpath=({COMPLETIONS} $fpath); path=({folder} $path)\n"
            f"autoload -Uz compinit && compinit -u -d {folder}/dump\n"
            "zstyle ':completion:*' list-prompt ''; LISTMAX=10000; setopt no_beep no_zle_bracketed_paste 2>/dev/null; unset zle_bracketed_paste\n"
        )
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.environ.update(ZDOTDIR=str(folder), TERM="dumb", COLUMNS="300", LINES="200")
            os.execvp("zsh", ["zsh", "-d", "-i"])
        self.pid = pid
        self.read_until("READY> ")

    def read_until(self, shown, seconds=30):
        text, end = "", time.monotonic() + seconds
        while not re.search(shown, text, re.S):
            assert time.monotonic() < end, f"no {shown!r} in {text!r}"
            if select.select([self.terminal], [], [], 0.2)[0]:
                text += os.read(self.terminal, 65536).decode(errors="replace")
        return text

    def offers(self, *words):
        os.write(self.terminal, ("waypost " + " ".join(words)).encode() + b"\x04")
        time.sleep(0.1)  # with more keys to come it would not list
        os.write(self.terminal, b"\x15print E''ND\r")  # Ctrl+U empties the line
        text = self.read_until("\nEND.*READY> ")
        listed = [line for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", " ", text).splitlines()[1:] if "READY> " not in line]
        return set(" ".join(listed).split())

    def close(self):
        os.write(self.terminal, b"\x15exit\r")
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


@pytest.fixture(params=SHELLS)
def shell(request, tmp_path):
    made = {"bash": Bash, "zsh": lambda: Zsh(tmp_path), "fish": Fish}[request.param]()
    yield made
    made.close()


def test_every_command_and_option_is_offered(shell):
    commands = commands_in(help_of())
    assert {"check", "route", "token", "status", "top", "drain", "log-level"} <= commands
    assert commands <= shell.offers("")
    assert options_in(help_of()) <= shell.offers("-")
    for command in sorted(commands):
        offered = shell.offers(command, "-")
        assert options_in(help_of(command)) <= offered, command
    assert commands_in(help_of("token")) <= shell.offers("token", "")
    assert options_in(help_of("token", "create")) <= shell.offers("token", "create", "-")


def test_what_stands_for_what_is_known(shell):
    assert {"calls", "time", "rows", "errors", "fallbacks"} <= shell.offers("digests", "--sort", "")
    assert {"trace", "debug", "info", "warning", "error"} <= shell.offers("log-level", "")
    assert {"viewer", "operator", "admin"} <= shell.offers("token", "create", "--role", "")
    assert "drain" not in shell.offers("drain", "")  # there it is the name of a server
    assert "--deadline" in shell.offers("--config", "x.toml", "drain", "-")
