#include "routing/statement_names.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace waypost {
namespace {

StatementRef Make(std::string server_name) {
  return std::make_shared<const Statement>(
      Statement{.sql = nullptr, .types = {}, .settings = nullptr, .server_name = std::move(server_name)});
}

// The same, as plainly as it can be said.
struct Model {
  using Names = std::vector<std::pair<std::string, StatementRef>>;
  Names now;
  std::vector<Names> planned{{}};  // the names behind each place

  static void Put(Names& names, const std::string& name, const StatementRef& statement) {
    std::erase_if(names, [&](const auto& entry) { return entry.first == name; });
    if (statement) names.emplace_back(name, statement);
  }
  static void PutNone(Names& names) {
    std::erase_if(names, [](const auto& entry) { return !entry.first.empty(); });
  }
  static std::size_t Named(const Names& names) {
    return static_cast<std::size_t>(
        std::count_if(names.begin(), names.end(), [](const auto& entry) { return !entry.first.empty(); }));
  }
  static StatementRef Get(const Names& names, const std::string& name) {
    for (const auto& [key, statement] : names)
      if (key == name) return statement;
    return nullptr;
  }
};

}  // namespace

TEST_CASE("names that are alike in what the server keeps of them are one", "[routing][statement_names]") {
  StatementNames names;
  const auto statement = Make("s");
  const std::string kept(kMaxStatementNameBytes, 'n');
  names.Plan(kept + "one", statement);
  CHECK(names.Find(kept + "other") == statement);
  CHECK(names.Find(kept.substr(1)) == nullptr);
  names.Set(kept + "one", statement);
  names.EndBatch();
  CHECK(names.Find(kept) == statement);
  names.Set(kept + "x", nullptr);
  CHECK(names.Find(kept + "one") == nullptr);
}

TEST_CASE("a name means what the server has answered", "[routing][statement_names]") {
  StatementNames names;
  const auto one = Make("one");
  CHECK(names.Find("a") == nullptr);
  names.Set("a", one);
  CHECK(names.Find("a") == one);
  CHECK(names.NameOf("one") == "a");
  names.Set("a", nullptr);
  CHECK(names.Find("a") == nullptr);
  CHECK(names.NameOf("one").empty());
}

TEST_CASE("each place of a batch sees what was planned before it, and no more", "[routing][statement_names]") {
  StatementNames names;
  const auto old = Make("old"), one = Make("one"), two = Make("two");
  names.Set("a", old);
  names.SetUnnamed(old);
  names.Plan("a", nullptr);  // 0
  names.Plan("a", one);      // 1
  names.Plan("", two);       // 2
  names.PlanNone();          // 3
  CHECK(names.FindAt("a", 0) == old);
  CHECK(names.FindAt("a", 1) == nullptr);
  CHECK(names.FindAt("a", 2) == one);
  CHECK(names.FindAt("", 2) == old);
  CHECK(names.FindAt("", 3) == two);
  CHECK(names.Find("a") == nullptr);
  CHECK(names.Find("") == two);  // DEALLOCATE ALL leaves it
  names.Unplan(2);
  CHECK(names.Find("a") == one);
  CHECK(names.Find("") == old);
  names.EndBatch();
  CHECK(names.Find("a") == old);
  CHECK(names.place() == 0);
}

TEST_CASE("a batch that is to run again finds the names as they were", "[routing][statement_names]") {
  StatementNames names;
  const auto one = Make("one"), two = Make("two"), three = Make("three");
  names.Set("a", one);
  names.Set("b", two);
  names.EndBatch();
  names.Plan("a", nullptr);
  names.Plan("a", three);
  names.Set("a", nullptr);
  names.Set("a", three);
  names.Clear();
  names.Set("c", three);
  names.UndoBatch();
  CHECK(names.FindAt("a", 0) == one);
  CHECK(names.FindAt("b", 0) == two);
  CHECK(names.FindAt("c", 0) == nullptr);
  CHECK(names.Find("a") == three);  // still planned
  names.KeepBatch();
  names.EndBatch();
  CHECK(names.Find("a") == three);
  CHECK(names.Find("b") == two);
}

TEST_CASE("names behave as a plain list of them would, however long the batch", "[routing][statement_names]") {
  std::mt19937 random(20261126);
  const auto below = [&](unsigned n) { return std::uniform_int_distribution<unsigned>(0, n - 1)(random); };
  const std::vector<std::string> all{"", "a", "b", "c", "d"};
  for (int round = 0; round < 200; ++round) {
    StatementNames names;
    Model model;
    for (int batch = 0; batch < 3; ++batch) {
      model.planned = {model.now};
      for (auto left = below(60); left > 0; --left) {
        const auto& name = all[below(5)];
        auto next = model.planned.back();
        if (below(10) == 0) {
          names.PlanNone();
          Model::PutNone(next);
        } else if (below(10) == 0) {
          const auto place = below(names.place() + 1);
          names.Unplan(place);
          model.planned.resize(place + 1);
          REQUIRE(names.planned_size() == Model::Named(model.planned.back()));
          continue;
        } else {
          const auto statement = below(3) == 0 ? nullptr : Make("s");
          names.Plan(name, statement);
          Model::Put(next, name, statement);
        }
        model.planned.push_back(next);
        REQUIRE(names.planned_size() == Model::Named(next));
        for (const auto& each : all)
          for (StatementNames::Place place = 0; place < model.planned.size(); ++place)
            REQUIRE(names.FindAt(each, place) == Model::Get(model.planned[place], each));
      }
      const auto begin = model.now;
      for (auto left = below(10); left > 0; --left) {
        const auto& name = all[1 + below(4)];
        const auto statement = below(3) == 0 ? nullptr : Make("s");
        if (below(8) == 0) {
          names.Clear();
          Model::PutNone(model.now);
        } else {
          names.Set(name, statement);
          Model::Put(model.now, name, statement);
        }
      }
      if (below(2) == 0) {
        names.UndoBatch();
        model.now = begin;
      }
      names.EndBatch();
      for (const auto& each : all) REQUIRE(names.Find(each) == Model::Get(model.now, each));
      REQUIRE(names.planned_size() == Model::Named(model.now));
    }
  }
}

TEST_CASE("a place of a long batch is found without going through the others", "[routing][statement_names]") {
  // It would take minutes.
  constexpr int kMany = 300'000;
  StatementNames names;
  const auto one = Make("one");
  for (int i = 0; i < kMany; ++i) {
    const auto name = "n" + std::to_string(i);
    const auto place = names.place();
    CHECK(names.Find(name) == nullptr);
    names.Plan(name, one);
    names.Plan("", one);
    (void)names.FindAt("", place / 2);
    (void)names.FindAt("n0", place / 2 + 1);
    if (i % 2 == 0) names.PlanNone();
  }
  for (int i = 0; i < kMany; ++i) names.Set("n" + std::to_string(i), one);
  names.UndoBatch();
  names.EndBatch();
  CHECK(names.Find("n0") == nullptr);
}

TEST_CASE("a batch without an end plans no more than it has names", "[routing][statement_names]") {
  StatementNames names;
  const auto one = Make("one"), two = Make("two");
  names.Set("kept", one);
  for (int i = 0; i < 10'000; ++i) {
    names.Plan("", i % 2 == 0 ? one : two);
    names.Plan("n" + std::to_string(i % 30), one);
    if (i == 5'000) names.PlanNone();
    names.Plan("gone", nullptr);
    names.ForgetPlaces();
    REQUIRE(names.place() < 100);
  }
  CHECK(names.Find("") == two);
  CHECK(names.Find("n29") == one);
  CHECK(names.Find("kept") == nullptr);
  CHECK(names.Find("gone") == nullptr);
  names.Plan("n29", nullptr);
  CHECK(names.Find("n29") == nullptr);
  CHECK(names.FindAt("n29", names.place() - 1) == one);
  names.KeepBatch();
  names.EndBatch();
  CHECK(names.Find("n28") == one);
  CHECK(names.Find("kept") == nullptr);
}

TEST_CASE("what was planned at places that are forgotten counts as before", "[routing][statement_names]") {
  std::mt19937 random(20261127);
  const auto below = [&](unsigned n) { return std::uniform_int_distribution<unsigned>(0, n - 1)(random); };
  const std::vector<std::string> all{"", "a", "b", "c", "d"};
  for (int round = 0; round < 200; ++round) {
    StatementNames names;
    Model::Names answered, planned;
    for (const auto& name : all) {
      if (name.empty() || below(2) == 0) continue;
      const auto statement = Make("s");
      names.Set(name, statement);
      Model::Put(answered, name, statement);
    }
    names.EndBatch();
    planned = answered;
    for (auto left = below(60); left > 0; --left) {
      const auto& name = all[below(5)];
      if (below(10) == 0) {
        names.PlanNone();
        Model::PutNone(planned);
      } else if (below(5) == 0) {
        const auto told = Make("s"), untold = Model::Get(planned, name);
        if (untold == nullptr || Model::Get(answered, name) == untold) continue;
        names.Tell(name, untold, told);
        Model::Put(planned, name, told);
      } else {
        const auto statement = below(3) == 0 ? nullptr : Make("s");
        names.Plan(name, statement);
        Model::Put(planned, name, statement);
      }
      if (below(4) == 0) names.ForgetPlaces();
      REQUIRE(names.planned_size() == Model::Named(planned));
      for (const auto& each : all) {
        REQUIRE(names.Find(each) == Model::Get(planned, each));
        REQUIRE(names.FindAt(each, 0) == Model::Get(answered, each));
      }
    }
    const bool kept = below(2) == 0;
    if (kept) names.KeepBatch();
    if (kept && below(2) == 0) {
      names.UndoBatch();
      for (const auto& each : all)
        if (!each.empty()) REQUIRE(names.FindAt(each, 0) == Model::Get(answered, each));
      continue;
    }
    names.EndBatch();
    for (const auto& each : all)
      if (!each.empty()) REQUIRE(names.Find(each) == Model::Get(kept ? planned : answered, each));
  }
}

TEST_CASE("names come in the order in which they were given", "[routing][statement_names]") {
  StatementNames names;
  const auto one = Make("one");
  const auto order = [&] {
    std::string list;
    for (const auto& [name, statement] : names.InOrder()) list += name;
    return list;
  };
  CHECK(order().empty());
  for (const auto* name : {"c", "a", "b"}) names.Set(name, one);
  names.SetUnnamed(one);
  CHECK(order() == "cab");
  names.EndBatch();
  names.Set("c", nullptr);
  names.Set("a", Make("two"));  // told
  names.Set("c", one);
  CHECK(order() == "abc");
  names.UndoBatch();
  CHECK(order() == "cab");
  names.Clear();
  CHECK(order().empty());
  names.UndoBatch();
  CHECK(order() == "cab");
}

TEST_CASE("what a name returns is told where it still means what was asked", "[routing][statement_names]") {
  StatementNames names;
  const auto open = Make("one"), told = Make("one"), other = Make("other");
  names.Plan("a", open);
  names.Plan("b", other);
  names.Set("a", open);
  names.Set("c", open);
  names.SetUnnamed(open);
  names.Tell("a", open, told);
  names.Tell("b", open, told);
  names.Tell("", open, told);
  CHECK(names.FindAt("a", 0) == told);
  CHECK(names.Find("a") == told);
  CHECK(names.Find("b") == other);
  CHECK(names.Find("c") == open);  // the same statement under another name was not asked for
  CHECK(names.unnamed() == told);
  names.UndoBatch();
  CHECK(names.FindAt("a", 0) == nullptr);
}

}  // namespace waypost
