// Pure.
#pragma once

namespace waypost {

// Empties a string or another container and gives its memory back. Assigning an empty one, or clear(), keeps the memory.
template <class T>
void Release(T& container) {
  T().swap(container);
}

}  // namespace waypost
