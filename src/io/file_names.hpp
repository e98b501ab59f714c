#pragma once
// How files are named, and how an output gets its name.
#include "io/file.hpp"

namespace sealcast::io {

inline constexpr std::size_t k_longest_stem = 200;  // of a name that gets something added: 255 octets is all there is

// For a sentence about it.
std::string shown(const std::filesystem::path& path);
// "<base><extension>": of several files that belong together.
std::filesystem::path with_extension(const std::filesystem::path& base, const char* extension);

// What may be replaced by an output: nothing at all, or a regular file. mode: of that file; left alone when there is
// none.
Status check_replaceable(const std::filesystem::path& path, Replace replace, unsigned* mode = nullptr);
// A rename, on disk when it returns.
Status rename_output(const std::filesystem::path& part, const std::filesystem::path& path, Replace replace);

}  // namespace sealcast::io
