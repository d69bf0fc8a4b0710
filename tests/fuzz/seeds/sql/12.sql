SELECT a -- comment
, /* c /* n */ */ b FROM t WHERE x = ANY (ARRAY[1, 2]) AND y BETWEEN -1 AND 2
