SELECT E'a\'b', U&'\0061', $a$x$a$, 1.5e3, B'01', X'1F', DATE '2020-01-01', INTERVAL '1' DAY
