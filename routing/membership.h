// Which servers there are, when somebody else keeps the list of them: what it adds and what it takes away. Pure: no I/O, no clock.
// One thread only.
//
// The list says where servers are, never which of them is the primary. A list that is empty or broken, or that lacks the accepted
// primary, changes nothing. While no primary is accepted, servers are added only, and only if the list is plainly of this cluster:
// it has one of our servers, and all of them that answer. A server goes when two lists in a row lack it: it is drained first.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/base/time.h"

namespace waypost {

// As the list has it.
struct FoundServer {
  std::string name;
  std::string host;  // empty: the list does not say where it is (yet)
  std::uint16_t port = 0;
  bool active = true;  // false: it does not run, says the list; it is not added, but stays if it is there
  bool primary = false;  // says the list
  bool operator==(const FoundServer&) const = default;
};

// As it is in force.
struct Member {
  std::string name, host;
  std::uint16_t port = 0;
  bool draining = false;  // no new reads; it goes when nothing is under way there
  bool operator==(const Member&) const = default;
};

// What is known of one.
struct KnownMember : Member {
  bool primary = false;  // the accepted one
  bool up = false;
  bool in_use = false;  // something of a client is under way there
};

class Membership {
 public:
  // More than these in a list are not believed. As kMaxServers of metrics/labels.h.
  static constexpr std::size_t kMaxListed = 64;

  struct Decision {
    std::vector<Member> members;  // those to be in force: the ones before in their order, new ones behind
    bool changed = false;  // from those before
    std::string refused;  // why the list changes nothing; empty: it was followed
    std::string contradiction;  // that it has had another primary than the accepted one twice in a row; empty: it has not
  };

  // One list that was read, at `now`. What still is in use at a server that drains is waited for as long as `patience`.
  [[nodiscard]] Decision Follow(std::span<const FoundServer> list, std::span<const KnownMember> known, Duration patience,
                                TimePoint now);
  // No list could be read: what the last one lacked has to be lacking twice again.
  void Missed();

 private:
  [[nodiscard]] static std::string Fault(std::span<const FoundServer> list, std::span<const KnownMember> known);
  [[nodiscard]] std::string Contradiction(std::span<const FoundServer> list, std::span<const KnownMember> known);
  [[nodiscard]] std::string NameFor(const FoundServer& found);

  std::map<std::string, unsigned> lacking_;  // by name: in how many lists in a row
  std::map<std::string, TimePoint> drains_;  // by name: since when
  std::map<std::string, std::string> address_;  // by name: a name is not given to another address
  unsigned contradicted_ = 0;  // by how many lists in a row
};

}  // namespace waypost
