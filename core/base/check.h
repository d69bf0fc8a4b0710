// Only for our own bugs; never for anything that a peer or a file can cause.
#pragma once

#include <cstdio>
#include <cstdlib>

#define WAYPOST_CHECK(condition)                                                           \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      std::fprintf(stderr, "waypost: bug at %s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                        \
    }                                                                                      \
  } while (false)
