#include "parser/catalog/builder.h"

#include <algorithm>
#include <utility>

#include "parser/sql/server_local.h"

namespace waypost {
namespace {

std::string Qualified(std::string_view schema, std::string_view name, bool built_in) {
  std::string text;
  if (!built_in || schema != "pg_catalog") {
    text += schema;
    text += '.';
  }
  text += name;
  return text;
}

// In words, without the leading blank that an explanation starts with.
std::string_view RelationWord(char kind) {
  switch (kind) {
    case 'v': return "view ";
    case 'm': return "materialized view ";
    case 'f': return "foreign table ";
    case 'S': return "sequence ";
    default: return "table ";
  }
}

ObjectGraph::Truth BuiltInTruth(const FunctionSpec& spec) {
  ObjectGraph::Truth truth;
  truth.fence = spec.volatility != 'i';
  truth.lists_prepared = ListsPrepared(spec.name);
  truth.pin = PinOfBuiltIn(spec.name);
  // The session sees what its own statements set, not what is set within a function.
  if (spec.name == "set_config") truth.pin = PinReason::kUnknownState;
  if (const std::string_view why = WhyServerLocalFunction(spec.name); !why.empty()) {
    truth.why = Reason::kServerLocal;
    truth.words = ": " + std::string(why);
  } else if (RunsWhatItIsGiven(spec.name)) {
    truth.why = Reason::kNotUnderstood;
    truth.words = " reads what its arguments name";
  } else if (spec.volatility == 'v' && !IsHarmlessVolatile(spec.name)) {
    truth.why = Reason::kVolatileFunction;
    truth.words = " is volatile";
  }
  return truth;
}

constexpr std::uint8_t Clamp(int args) { return static_cast<std::uint8_t>(std::clamp(args, 0, 254)); }

}  // namespace

CatalogBuilder::CatalogBuilder() : built_in_casts_(graph_.Add({}, true)) {}

CatalogBuilder& CatalogBuilder::Function(const FunctionSpec& spec) {
  std::string label = spec.kind == 'a' ? "aggregate " : "function ";
  label += Qualified(spec.schema, spec.name, spec.built_in);
  if (!spec.built_in || !spec.arguments.empty()) {
    label += '(';
    label += spec.arguments;
    label += ')';
  }
  const Node node = graph_.Add(std::move(label), !spec.built_in);
  if (spec.id != 0) function_ids_.emplace(spec.id, node);
  functions_.push_back({.schema = std::string(spec.schema),
                        .name = std::string(spec.name),
                        .min_args = Clamp(spec.min_args),
                        .max_args = spec.max_args,
                        .row_argument = spec.row_argument,
                        .node = node});
  if (spec.built_in) {
    graph_.truth(node) = BuiltInTruth(spec);
  } else {
    UserFunction(spec, node);
  }
  return *this;
}

void CatalogBuilder::UserFunction(const FunctionSpec& spec, Node node) {
  ObjectGraph::Truth& truth = graph_.truth(node);
  if (!spec.defaults.empty()) Bury(node, ReadNodeTree(spec.defaults), {});
  if (spec.kind == 'a') return;  // what its functions are, it is
  const bool is_volatile = spec.volatility == 'v';
  const bool native = spec.language == Language::kNative;
  truth.fence = spec.volatility != 'i' || spec.language == Language::kOther || spec.language == Language::kPlpgsql;
  if (is_volatile && !(native && IsHarmlessVolatile(spec.name))) {
    truth.why = Reason::kVolatileFunction;
    truth.words = " is volatile";
  } else if (native && RunsWhatItIsGiven(spec.name)) {
    truth.why = Reason::kNotUnderstood;
    truth.words = " reads what its arguments name";
  }
  switch (spec.language) {
    case Language::kNative:
    case Language::kOther:
      // It may SET, lock or make temporary tables for all that anybody can see.
      if (truth.why != Reason::kReadSafe) truth.pin = PinReason::kUnknownState;
      return;
    case Language::kSql:
      return Bury(node, spec.tree.empty() ? ReadSqlBody(spec.source) : ReadNodeTree(spec.tree),
                  ReadSearchPath(spec.search_path, {}));
    case Language::kPlpgsql:
      graph_.Edge(node, built_in_casts_);
      return Bury(node, ReadPlpgsqlBody(spec.source), ReadSearchPath(spec.search_path, {}));
  }
}

// What a body says is true of the object whose body it is; what it names is looked up at the end.
void CatalogBuilder::Bury(Node node, Body body, SearchPath path) {
  ObjectGraph::Truth& truth = graph_.truth(node);
  if (truth.why == Reason::kReadSafe && body.why != Reason::kReadSafe) {
    truth.why = body.why;
    truth.words = std::move(body.words);
  }
  if (truth.pin == PinReason::kNone || body.pin == PinReason::kUnknownState) truth.pin = body.pin;
  if (path.schemas.empty()) path.known = false;  // SET search_path = '' finds pg_catalog: any will do
  bodies_.push_back({.node = node, .body = std::move(body), .path = std::move(path)});
}

CatalogBuilder& CatalogBuilder::Operator(const OperatorSpec& spec) {
  const Node node = graph_.Add("operator " + Qualified(spec.schema, spec.name, spec.built_in), !spec.built_in);
  if (spec.id != 0) operator_ids_.emplace(spec.id, node);
  operators_.push_back({.schema = std::string(spec.schema), .name = std::string(spec.name), .node = node});
  if (spec.function != 0) {
    const Object function{.cls = Class::kFunction, .id = spec.function};
    if (spec.id != 0) Link({.cls = Class::kOperator, .id = spec.id}, function);
  }
  return *this;
}

CatalogBuilder& CatalogBuilder::Relation(const RelationSpec& spec) {
  std::string label(RelationWord(spec.kind));
  label += Qualified(spec.schema, spec.name, spec.built_in);
  const Node node = graph_.Add(std::move(label), !spec.built_in);
  if (spec.id != 0) relation_ids_.emplace(spec.id, node);
  relations_.push_back({.schema = std::string(spec.schema), .name = std::string(spec.name), .node = node});
  ObjectGraph::Truth& truth = graph_.truth(node);
  truth.fence = true;
  truth.lists_prepared = spec.built_in && ListsPrepared(spec.name);
  const auto refuse = [&](Reason why, std::string words) {
    truth.why = why;
    truth.words = std::move(words);
  };
  const std::string_view local = spec.built_in ? WhyServerLocalRelation(spec.name) : std::string_view();
  if (!local.empty()) {
    refuse(Reason::kServerLocal, ": " + std::string(local));
  } else if (spec.kind == 'S') {
    refuse(Reason::kServerLocal, ": a replica sees a sequence ahead of its value");
  } else if (spec.persistence != 'p') {
    refuse(Reason::kPinnedRelation, " is unlogged or temporary");
  } else if (spec.kind == 'f') {
    refuse(Reason::kNotUnderstood, " is not in this database");
  }
  return *this;
}

CatalogBuilder& CatalogBuilder::Type(const TypeSpec& spec) {
  std::string label = spec.kind == 'd' ? "domain " : "type ";
  label += Qualified(spec.schema, spec.name, spec.built_in);
  const Node made = graph_.Add(label, !spec.built_in);
  graph_.truth(made).fence = !spec.built_in || spec.name.starts_with("reg");  // regclass looks up
  if (spec.id != 0) type_ids_.emplace(spec.id, made);
  if (!spec.built_in) {
    const Node shown = graph_.Add(std::move(label), true);  // made + 1: see Find()
    graph_.Edge(made, shown);
  }
  types_.push_back({.schema = std::string(spec.schema), .name = std::string(spec.name), .node = made});
  return *this;
}

CatalogBuilder& CatalogBuilder::ArrayType(ObjectId array, ObjectId element) {
  elements_.emplace(array, element);
  return *this;
}

CatalogBuilder& CatalogBuilder::Cast(const CastSpec& spec) {
  const Node node = graph_.Add("cast (" + std::string(spec.source) + " AS " + std::string(spec.target) + ")", true);
  Body body;
  body.ids.functions.push_back(spec.function);
  Bury(node, std::move(body), {});
  targets_.emplace_back(node, spec.target_type);
  if (spec.implicit) implicit_casts_.push_back(node);
  if (spec.built_in_target) graph_.Edge(built_in_casts_, node);
  return *this;
}

CatalogBuilder& CatalogBuilder::Link(Object from, Object to) {
  links_.push_back({.from = from, .to = to});
  return *this;
}

CatalogBuilder& CatalogBuilder::Expression(Object from, std::string label, std::string_view tree) {
  const Node node = graph_.Add(std::move(label), true);
  Bury(node, ReadNodeTree(tree), {});
  if (const Node owner = Find(from); owner != ObjectGraph::kNone) {
    // The query of a view is the view.
    if (graph_.label(node).empty() && graph_.truth(node).why != Reason::kReadSafe) {
      graph_.truth(owner) = std::move(graph_.truth(node));
      graph_.truth(node) = {};
    }
    graph_.Edge(owner, node);
  }
  return *this;
}

CatalogBuilder& CatalogBuilder::Child(ObjectId relation, ObjectId child) {
  return Link({.cls = Class::kRelation, .id = relation}, {.cls = Class::kRelation, .id = child});
}

CatalogBuilder& CatalogBuilder::RolePath(std::string_view role, std::string_view value) {
  catalog_.role_paths_.emplace_back(role, value);
  return *this;
}

CatalogBuilder& CatalogBuilder::DefaultPath(std::string_view value) {
  catalog_.default_path_ = value;
  catalog_.default_path_known_ = true;
  return *this;
}

ObjectGraph::Node CatalogBuilder::Find(Object object) const {
  const auto in = [](const auto& ids, ObjectId id) {
    const auto found = ids.find(id);
    return found == ids.end() ? ObjectGraph::kNone : found->second;
  };
  switch (object.cls) {
    case Class::kFunction: return in(function_ids_, object.id);
    case Class::kOperator: return in(operator_ids_, object.id);
    case Class::kRelation: return in(relation_ids_, object.id);
    case Class::kType:
    case Class::kOutput: {
      ObjectId id = object.id;
      if (const auto element = elements_.find(id); element != elements_.end()) id = element->second;
      const Node made = in(type_ids_, id);
      if (object.cls == Class::kType || made == ObjectGraph::kNone) return made;
      return graph_.user_made(made) ? made + 1 : ObjectGraph::kNone;
    }
  }
  return ObjectGraph::kNone;
}

std::vector<ObjectGraph::Node> CatalogBuilder::Find(const NameRef& ref, const SearchPath& path) const {
  std::vector<Node> found;
  const auto look = [&](const Names& names, const Index& index, bool rows_only) {
    const auto at = index.find(ref.name);
    if (at == index.end()) return;
    for (const std::uint32_t i : at->second) {
      const Named& named = names[i];
      if (rows_only && !named.row_argument) continue;
      if (!ref.schema.empty() ? named.schema != ref.schema : path.known && !path.Has(named.schema)) continue;
      if (ref.args >= 0 &&
          (ref.args < named.min_args || (ref.args > named.max_args && named.max_args != NameTable::kAnyArguments))) {
        continue;
      }
      found.push_back(named.node);
    }
  };
  switch (ref.kind) {
    case NameRef::Kind::kFunction:
      look(functions_, function_index_, false);
      if (!found.empty() && ref.args <= 1) look(types_, type_index_, false);  // text(x) is a cast
      break;
    case NameRef::Kind::kOperator: look(operators_, operator_index_, false); break;
    case NameRef::Kind::kRelation: look(relations_, relation_index_, false); break;
    case NameRef::Kind::kType: look(types_, type_index_, false); break;
    case NameRef::Kind::kAttribute: look(functions_, function_index_, true); break;
  }
  return found;
}

ObjectGraph::Node CatalogBuilder::NodeOf(const NameRef& ref, const SearchPath& path, bool optional) {
  std::string key{static_cast<char>('0' + static_cast<int>(ref.kind)), static_cast<char>(ref.args + 2), optional ? 'o' : 'n'};
  key.append(ref.schema).append(1, '\0').append(ref.name);
  if (path.known && ref.schema.empty()) {
    for (const std::string& schema : path.schemas) key.append(1, '\0').append(schema);
  }
  const auto [entry, added] = name_nodes_.try_emplace(std::move(key), ObjectGraph::kNone);
  if (!added) return entry->second;
  const std::vector<Node> found = Find(ref, path);
  const bool is_attribute = ref.kind == NameRef::Kind::kAttribute;
  if (found.empty() && (optional || is_attribute)) return ObjectGraph::kNone;
  if (found.size() == 1) return entry->second = found.front();
  const Node node = graph_.Add({}, true);
  entry->second = node;
  for (const Node one : found) graph_.Edge(node, one);
  if (!found.empty()) return node;
  ObjectGraph::Truth& truth = graph_.truth(node);
  const std::string name = ref.schema.empty() ? ref.name : ref.schema + "." + ref.name;
  truth.words = " uses " + name + ", which is not in the catalogue";
  truth.why = Reason::kNotUnderstood;
  if (ref.kind == NameRef::Kind::kRelation) truth.why = Reason::kUnknownRelation;
  if (ref.kind == NameRef::Kind::kFunction || ref.kind == NameRef::Kind::kOperator) {
    truth.why = Reason::kUnknownFunction;
    truth.pin = PinReason::kUnknownState;
  }
  return node;
}

void CatalogBuilder::LinkId(Node from, Object to) {
  const Node node = Find(to);
  if (node != ObjectGraph::kNone) return graph_.Edge(from, node);
  if (to.cls == Class::kType || to.cls == Class::kOutput) return;  // a built-in composite type
  ObjectGraph::Truth& truth = graph_.truth(from);
  if (truth.why != Reason::kReadSafe) return;
  truth.why = Reason::kNotUnderstood;
  truth.words = " uses an object that is not in the catalogue";
}

void CatalogBuilder::Resolve(PendingBody& pending) {
  for (const NameRef& ref : pending.body.names) {
    const Node node = NodeOf(ref, pending.path, pending.body.names_may_be_variables);
    graph_.Edge(pending.node, node);
  }
  const auto link = [&](const std::vector<ObjectId>& ids, Class cls) {
    for (const ObjectId id : ids) LinkId(pending.node, {.cls = cls, .id = id});
  };
  link(pending.body.ids.functions, Class::kFunction);
  link(pending.body.ids.operators, Class::kOperator);
  link(pending.body.ids.relations, Class::kRelation);
  link(pending.body.ids.types, Class::kType);
}

// What people call the object, and why it is not safe if nothing beyond it is to blame.
std::uint32_t CatalogBuilder::StepOf(Node node) {
  // A chain is as long as the way is; the last first.
  std::vector<Node> chain;
  while (node != ObjectGraph::kNone && step_of_[node] == 0) {
    chain.push_back(node);
    node = graph_.next(node);
  }
  std::uint32_t next = node == ObjectGraph::kNone ? 0 : step_of_[node];
  std::string tail;  // of one without a name, for the one before it
  for (; !chain.empty(); chain.pop_back()) {
    const Node at = chain.back();
    const bool leaf = graph_.next(at) == ObjectGraph::kNone;
    std::string text = graph_.label(at);
    if (leaf) tail = graph_.truth(at).words;
    if (text.empty()) {
      if (leaf) continue;
      step_of_[at] = next;
      continue;
    }
    text += std::exchange(tail, {});
    catalog_.steps_.push_back({.text_at = static_cast<std::uint32_t>(catalog_.step_text_.size()),
                               .text_size = static_cast<std::uint32_t>(text.size()),
                               .next = next});
    catalog_.step_text_ += text;
    next = static_cast<std::uint32_t>(catalog_.steps_.size() - 1);
    step_of_[at] = next;
  }
  return next;
}

Finding CatalogBuilder::FindingOf(Node node) {
  const ObjectGraph::Truth& truth = graph_.truth(node);
  Finding finding{.known = true,
                  .user_made = graph_.user_made(node),
                  .needs_fence = truth.fence,
                  .lists_prepared = truth.lists_prepared,
                  .why = truth.why,
                  .pin = truth.pin,
                  .step = 0};
  if (!finding.user_made) finding.pin = PinReason::kNone;  // the tree says what a call leaves behind
  if (finding.why != Reason::kReadSafe) finding.step = StepOf(node);
  return finding;
}

NameTable CatalogBuilder::TableOf(Names& names) {
  std::vector<NameTable::Object> objects;
  objects.reserve(names.size());
  for (Named& named : names) {
    objects.push_back({.schema = std::move(named.schema),
                       .name = std::move(named.name),
                       .min_args = named.min_args,
                       .max_args = named.max_args,
                       .finding = FindingOf(named.node)});
  }
  return NameTable(std::move(objects));
}

Catalog CatalogBuilder::Take() {
  const auto index = [](const Names& names, Index& into) {
    into.reserve(names.size());
    for (std::uint32_t i = 0; i < names.size(); ++i) into[names[i].name].push_back(i);
  };
  index(functions_, function_index_);
  index(operators_, operator_index_);
  index(relations_, relation_index_);
  index(types_, type_index_);
  for (const PendingLink& link : links_) {
    if (const Node from = Find(link.from); from != ObjectGraph::kNone) LinkId(from, link.to);
  }
  for (const auto& [cast, target] : targets_) {
    graph_.Edge(Find({.cls = Class::kType, .id = target}), cast);
  }
  for (PendingBody& pending : bodies_) Resolve(pending);
  graph_.Close();

  step_of_.assign(graph_.size(), 0);
  catalog_.steps_.emplace_back();
  for (const Node cast : implicit_casts_) {
    if (graph_.truth(cast).why != Reason::kReadSafe) catalog_.implicit_cast_ = FindingOf(cast);
  }
  Names attributes;
  for (const Named& named : functions_) {
    if (named.row_argument && graph_.truth(named.node).why != Reason::kReadSafe) attributes.push_back(named);
  }
  // "wtype(x)" is a cast, where no function of that name suits better.
  for (const Named& named : types_) {
    if (graph_.truth(named.node).why == Reason::kReadSafe) continue;
    Named cast = named;
    cast.min_args = cast.max_args = 1;
    functions_.push_back(std::move(cast));
  }
  catalog_.attributes_ = TableOf(attributes);
  catalog_.functions_ = TableOf(functions_);
  catalog_.operators_ = TableOf(operators_);
  catalog_.relations_ = TableOf(relations_);
  catalog_.types_ = TableOf(types_);
  return std::move(catalog_);
}

}  // namespace waypost
