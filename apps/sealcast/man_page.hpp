#pragma once
#include <CLI/CLI.hpp>
#include <string>

namespace sealcast::app {

// The manual page sealcast(1) in roff, from the very table of commands and options that the parser uses.
std::string man_page(const CLI::App& app, const std::string& version);

}  // namespace sealcast::app
