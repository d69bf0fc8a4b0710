#include "core/process/listening_sockets.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/folder.h"

namespace waypost {
namespace {

std::shared_ptr<ListeningSocket> Nothing(const std::string&) { return nullptr; }

// By TCP at a port that the system chooses, and by a Unix socket in `folder`.
std::vector<ListenConfig> Listener(const Folder& folder) {
  ListenConfig listener;
  listener.name = "inside";
  listener.port = 0;
  listener.socket = folder.File("");
  return {listener};
}

}  // namespace

TEST_CASE("each listener has its sockets until they are closed", "[core][listening_sockets]") {
  const Folder folder;
  const auto listeners = Listener(folder);
  ListeningSockets sockets;
  CHECK(sockets.empty());
  REQUIRE(sockets.Bind(listeners, Nothing));
  REQUIRE(sockets.Listen());
  REQUIRE(sockets.all().size() == 2);
  CHECK(sockets.all()[0].listener == "inside");
  CHECK(sockets.all()[1].listener == "inside");
  CHECK(sockets.all()[1].socket->where() == listeners[0].socket_path());
  CHECK(sockets.WithoutNames().size() == 2);
  CHECK(std::filesystem::exists(listeners[0].socket_path()));
  SECTION("closed, the file goes with them") {
    sockets.Close();
    CHECK_FALSE(std::filesystem::exists(listeners[0].socket_path()));
  }
  SECTION("left to another process, the file stays") {
    sockets.LeaveToSuccessor();
    CHECK(std::filesystem::exists(listeners[0].socket_path()));
  }
  CHECK(sockets.empty());
}

TEST_CASE("what the process before has is not bound again", "[core][listening_sockets]") {
  const Folder folder;
  const auto listeners = Listener(folder);
  ListeningSockets before;
  REQUIRE(before.Bind(listeners, Nothing));
  std::vector<std::string> asked;
  const auto inherit = [&](const std::string& where) {
    asked.push_back(where);
    return before.all()[asked.size() - 1].socket;
  };
  ListeningSockets after;
  REQUIRE(after.Bind(listeners, inherit));
  CHECK(asked == std::vector<std::string>{"127.0.0.1:0", listeners[0].socket_path()});
  CHECK(after.all()[0].socket == before.all()[0].socket);
  CHECK(after.all()[1].socket == before.all()[1].socket);
}

TEST_CASE("an address that cannot be had is an error", "[core][listening_sockets]") {
  ListenConfig listener;
  listener.address = "no address";
  ListeningSockets sockets;
  const auto bound = sockets.Bind({listener}, Nothing);
  REQUIRE_FALSE(bound);
  CHECK_FALSE(bound.error().empty());
}

}  // namespace waypost
