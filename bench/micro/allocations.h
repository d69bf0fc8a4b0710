// Counts what operator new hands out, for benchmarks whose point is that it is not called. Include
// in one file of a program. libpg_query's own memory comes from malloc and is not counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace waypost {

// The one mutable global of the benchmarks: operator new has no other place to count.
inline std::uint64_t& Allocations() {
  static std::uint64_t count = 0;
  return count;
}

}  // namespace waypost

[[gnu::noinline]] void* operator new(std::size_t size) {
  ++waypost::Allocations();
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
