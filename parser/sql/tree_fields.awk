# From PostgreSQL's node headers to C++: for each node of a parse tree, every field of it that points
# to a node. What the headers add is then walked without anybody thinking of it.
#   awk -f tree_fields.awk nodes.h [nodetags.h] primnodes.h parsenodes.h
# prints, for each struct that has a tag:  case T_X: { const auto* n = As<X>(node); push(n->field); ... return; }
# With -v only=PREFIX: for each whose name starts with that,  case T_X: return true;
# A struct is a node if its first member is a NodeTag, or another node: of that one it has the fields too.

{  # comments, and what 16 and later say to their own generators
  line = $0
  text = ""
  while (line != "") {
    if (in_comment) {
      end = index(line, "*/")
      if (end == 0) break
      line = substr(line, end + 2)
      in_comment = 0
    } else {
      start = index(line, "/*")
      if (start == 0) { text = text line; break }
      text = text substr(line, 1, start - 1)
      line = substr(line, start + 2)
      in_comment = 1
    }
  }
  sub(/pg_node_attr\(.*\)/, "", text)
  gsub(/[ \t]+/, " ", text)
  sub(/^ /, "", text)
  sub(/ $/, "", text)
}

text ~ /^T_[A-Za-z_0-9]+/ {
  tag = text
  sub(/^T_/, "", tag)
  sub(/[^A-Za-z_0-9].*/, "", tag)
  tagged[tag] = 1
}

text ~ /^typedef struct [A-Za-z_0-9]+$/ {
  name = substr(text, 16)
  open = 0
  members = 0
  next
}

name != "" && text ~ /^}/ && depth == 1 {
  if (first ~ /^NodeTag / || first_type in base_of) { base_of[name] = first_type; order[++count] = name }
  name = ""
  depth = 0
  next
}
name != "" && text ~ /{/ { depth++; if (depth == 1) { first = ""; first_type = "" } next }
name != "" && text ~ /}/ { depth--; next }

name != "" && depth == 1 && text ~ /;$/ {
  sub(/;$/, "", text)
  sub(/^const /, "", text)
  sub(/^struct /, "", text)
  if (first == "") {
    first = text
    first_type = text
    sub(/ .*/, "", first_type)
    base_field[name] = text
    sub(/.* /, "", base_field[name])
  }
  if (text ~ /^[A-Za-z_0-9]+ \*[A-Za-z_0-9]+ ?$/) {
    split(text, parts, / \*/)
    sub(/ $/, "", parts[2])
    fields[name] = fields[name] parts[1] " " parts[2] "\n"
  }
}

function IsNode(type) { return type == "Node" || type == "List" || type in base_of }

function Fields(type, path,    pointers, pointer, i, n) {
  if (base_of[type] in base_of) Fields(base_of[type], path base_field[type] ".")
  n = split(fields[type], pointers, "\n")
  for (i = 1; i < n; i++) {
    split(pointers[i], pointer, " ")
    if (IsNode(pointer[1])) printf "push(n->%s%s); ", path, pointer[2]
  }
}

END {
  if (count < 200) {
    print "these are not the node headers" > "/dev/stderr"
    exit 1
  }
  for (c = 1; c <= count; c++) {
    if (!(order[c] in tagged)) continue
    if (only != "") {
      if (index(order[c], only) == 1) printf "case T_%s: return true; ", order[c]
      continue
    }
    printf "case T_%s: { [[maybe_unused]] const auto* n = As<%s>(node); ", order[c], order[c]
    Fields(order[c], "")
    print "return; }"
  }
}
