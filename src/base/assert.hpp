#pragma once
// Our own broken invariants: on in release too, terminates. Never on anything that a peer can send.
#include <cstdio>
#include <cstdlib>

#define SEALCAST_ASSERT(condition)                                                                      \
  do {                                                                                                  \
    if (!(condition)) [[unlikely]] {                                                                    \
      std::fprintf(stderr, "sealcast: broken invariant %s at %s:%d\n", #condition, __FILE__, __LINE__); \
      std::abort();                                                                                     \
    }                                                                                                   \
  } while (false)
