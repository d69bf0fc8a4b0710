// Where the names in a session's statements are looked up: the catalogue of its database, its search path, and who it is. A verdict
// holds for one such context. Pure; its session's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "parser/catalog/catalog.h"
#include "parser/catalog/resolve.h"
#include "parser/catalog/search_path.h"
#include "parser/catalog/sql_cache.h"

namespace waypost {

// Where the next statement stands: what its verdict is made in. `outlook` is valid until the context is renewed.
struct NamePlace {
  ContextId context = 0;
  Outlook outlook;
};

class NameContext {
 public:
  // When it was looked up: by the worker's catalogues (never 0), and by the clock of DDL.
  struct Moment {
    std::uint64_t generation = 0, clock = 0;
    bool operator==(const Moment&) const = default;
  };
  // Whom it is of, by its log-in.
  struct Whose {
    std::string_view user, database;
  };
  // The catalogue of the database; null: there is none, or none that may be used. It outlives the moment.
  struct Found {
    const Catalog* catalog = nullptr;
    std::uint64_t version = 0;
    bool stale = false;  // it has changed since it was read
  };

  // The session's settings have changed. The statements that set the path and who it is; empty: as at log-in.
  void SetSettings(std::string_view search_path, std::string role);
  // False: Renew() must come first.
  [[nodiscard]] bool HoldsAt(Moment now) const { return moment_ == now; }
  void Renew(Moment now, const Found& found, const Whose& whose, ContextTable& contexts);

  [[nodiscard]] const Catalog* catalog() const { return found_.catalog; }
  [[nodiscard]] NamePlace Here() const { return {context_, {.path = &path_, .stale = found_.stale}}; }
  // Behind a SET of the same batch, where names may mean something else.
  [[nodiscard]] NamePlace BehindSet(std::string_view database, ContextTable& contexts) const;

 private:
  [[nodiscard]] SearchPath FindPath(std::string_view user) const;
  // 0 while there is no catalogue; another whenever it is another, or becomes stale.
  [[nodiscard]] std::uint64_t Version() const {
    return found_.catalog == nullptr ? 0 : found_.version * 2 + (found_.stale ? 1 : 0);
  }

  std::string search_path_, role_;
  Moment moment_;
  Found found_;
  SearchPath path_;
  ContextId context_ = 0;
};

}  // namespace waypost
