"""SQL of the tests as older majors take it: function bodies in the form of the standard become strings, views are read with
the rights of their owner."""

import re


def for_major(sql, major):
    if major < 15:
        sql = sql.replace(" WITH (security_invoker)", "")
    if major >= 14:
        return sql
    sql = re.sub(r"BEGIN ATOMIC (.*?;) END\b", r"AS $$\1$$", sql)
    return re.sub(r"(IMMUTABLE|STABLE) RETURN ([^;\n]*)", r"\1 AS $$SELECT \2$$", sql)
