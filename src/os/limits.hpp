#pragma once
// Descriptors: how many this process may have, and how many of them connections may take.
#include <cstddef>

namespace sealcast::os {

// The soft limit becomes the hard one; gives what holds afterwards.
std::size_t raise_descriptor_limit();
std::size_t descriptor_limit();

// What all connections together may take, so that the admin socket, databases, objects and sockets of our own still get
// theirs: the limit without a reserve.
std::size_t descriptors_for_connections();
std::size_t descriptors_for_connections(std::size_t limit);

// Descriptors 0, 1 and 2 that are closed are opened on /dev/null, so that no file or socket of ours becomes standard
// output. Reading from such a 0, and writing to such a 1 or 2, is still an error. To be called before anything opens
// a file. True: standard output was closed.
bool fill_standard_descriptors();

}  // namespace sealcast::os
