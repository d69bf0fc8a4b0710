// The catalogues of the databases as one worker has them, and who waits for one. Worker thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace waypost {

class Catalog;
struct Shared;

// Who waits for a catalogue: a log-in.
class CatalogUser {
 public:
  // It was loaded.
  virtual void OnCatalog() noexcept = 0;

 protected:
  ~CatalogUser() = default;
};

class Catalogs {
 public:
  struct Entry {
    std::shared_ptr<const Catalog> catalog;
    std::uint64_t version = 0;
    std::uint64_t as_of = 0;  // by the CatalogClock
  };

  explicit Catalogs(Shared& shared) : shared_(shared) {}

  // Changes whenever any catalogue does; never 0.
  [[nodiscard]] std::uint64_t generation() const { return generation_; }
  // nullptr if it is not loaded yet. Valid for this generation.
  [[nodiscard]] const Entry* Find(const std::string& database) const;
  // True if the catalogue of `database` is there; else it is asked for, and `user` is told when it comes.
  [[nodiscard]] bool WaitFor(const std::string& database, CatalogUser& user);
  // `user` waits no more.
  void Leave(CatalogUser& user);

  // `as_of`: what the CatalogClock said before it was read.
  void Set(const std::string& database, std::shared_ptr<const Catalog> catalog, std::uint64_t as_of);
  // Nothing of what was learnt of the database of that name holds any more.
  void Forget(const std::string& database);
  [[nodiscard]] bool Awaited(const std::string& database) const;

 private:
  Shared& shared_;
  std::map<std::string, Entry> entries_;
  std::uint64_t generation_ = 1;
  std::vector<std::pair<std::string, CatalogUser*>> waiting_;
};

}  // namespace waypost
