#pragma once
// How an output gets its name; for the .cpp files of this folder.
#include "io/file.hpp"

namespace sealcast::io {

inline constexpr std::size_t k_longest_stem = 200;  // of a name that gets something added: 255 octets is all there is

// What may be replaced by an output: nothing at all, or a regular file. mode: of that file; left alone when there is
// none.
Status check_replaceable(const std::filesystem::path& path, Replace replace, unsigned* mode = nullptr);
// A rename, on disk when it returns.
Status rename_output(const std::filesystem::path& part, const std::filesystem::path& path, Replace replace);

}  // namespace sealcast::io
