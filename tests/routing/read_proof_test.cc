#include "routing/read_proof.h"

#include <catch2/catch.hpp>

namespace waypost {
namespace {

Fence::Seen Incarnation(std::uint32_t incarnation) {
  Fence::Seen seen;
  seen.incarnation = incarnation;
  return seen;
}

}  // namespace

TEST_CASE("a proof holds for the incarnation in which it was found", "[routing][read_proof]") {
  ReadProof proof;
  proof.ProvedIn(3);
  CHECK(proof.HoldsFor(Incarnation(3)));
  CHECK_FALSE(proof.HoldsFor(Incarnation(4)));
}

TEST_CASE("who leaves the fence leaves all of its proof", "[routing][read_proof]") {
  ReadProof proof;
  CHECK_FALSE(proof.index_known());
  proof.NoteIndex();
  proof.ProvedIn(3);
  proof.SentUnproved(Incarnation(3));
  CHECK(proof.index_known());
  CHECK(proof.seen_at_send().incarnation == 3);
  proof.Clear();
  CHECK_FALSE(proof.index_known());
  CHECK(proof.seen_at_send().incarnation == 0);
  CHECK_FALSE(proof.HoldsFor(Incarnation(3)));
}

}  // namespace waypost
