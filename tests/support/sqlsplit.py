"""Splits a psql script into what psql would send: one text for each statement (several, where \\; joins them). Backslash
commands are left out, those that send (\\g, \\gset ...) end a statement; so is the data of COPY FROM STDIN."""

import re

TOKEN = re.compile(
    r"""
    (?P<line>--[^\n]*)
  | (?P<block>/\*)
  | (?P<escape>[eE]'(?:[^'\\]|\\.|'')*')
  | (?P<string>'(?:[^']|'')*')
  | (?P<name>"(?:[^"]|"")*")
  | (?P<dollar>\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$)
  | (?P<word>[A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*)
  | (?P<number>[0-9][A-Za-z0-9_.]*)
  | (?P<join>\\;)
  | (?P<command>\\[^\n]*)
  | (?P<any>.)
    """,
    re.VERBOSE | re.DOTALL,
)
SENDS = re.compile(r"\\(g|gx|gset|gexec|gdesc|crosstabview|watch|bind)\b")
CREATES_BODY = re.compile(r"CREATE\s+(OR\s+REPLACE\s+)?(FUNCTION|PROCEDURE)\b", re.IGNORECASE)
COPY_IN = re.compile(r"COPY\b.*\bFROM\s+STDIN\b", re.IGNORECASE | re.DOTALL)
COPY_DATA = re.compile(r"[^\n]*\n(.*?^\\\.[ \t]*$\n?|.*\Z)", re.DOTALL | re.MULTILINE)


def _end_of_comment(text, at):
    depth = 0
    for match in re.compile(r"/\*|\*/").finditer(text, at):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return match.end()
    return len(text)


def statements(text):
    """The statements of a script, in order, without their final semicolon and without leading comments."""
    found, start, at, parens, blocks = [], 0, 0, 0, 0
    pieces = []  # of the statement at hand

    def take(end):
        pieces.append(text[start:end])

    def finish():
        nonlocal parens, blocks
        sql = re.sub(r"\A(\s+|--[^\n]*\n)+", "", "".join(pieces)).strip()
        pieces.clear()
        parens = blocks = 0
        if sql and not re.fullmatch(r"(--[^\n]*\n?\s*)+", sql):
            found.append(sql)
            return bool(COPY_IN.match(sql))
        return False

    while at < len(text):
        match = TOKEN.match(text, at)
        kind, piece = match.lastgroup, match.group()
        end = match.end()
        if kind == "block":
            end = _end_of_comment(text, at)
        elif kind == "dollar":
            close = text.find(piece, end)
            end = len(text) if close < 0 else close + len(piece)
        elif kind == "word":
            word = piece.lower()
            so_far = "".join(pieces) + text[start:at]
            if word in ("begin", "case", "end") and CREATES_BODY.match(so_far.lstrip()):
                if word != "end":
                    blocks += blocks > 0 or word == "begin"
                elif blocks:
                    blocks -= 1
        elif kind == "join":
            take(at)
            pieces.append(";")
            start = end
        elif kind == "command":
            take(at)
            start = end
            if SENDS.match(piece):
                finish()
        elif piece in "()":
            parens = max(0, parens + (1 if piece == "(" else -1))
        elif piece == ";" and parens == 0 and blocks == 0:
            take(at)
            if finish():  # its data follows on the next line
                end = COPY_DATA.match(text, end).end()
            start = end
        at = end
    take(len(text))
    finish()
    return found
