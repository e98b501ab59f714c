#pragma once
// TOML configuration files. Unknown keys and wrong types are errors that name file, line and key; paths are relative to
// the file.
#include <filesystem>

#include "roles/common/config.hpp"

namespace sealcast::app {

Result<std::string> role_of_config(const std::filesystem::path& file);       // empty: it does not say
Result<std::string> log_level_of_config(const std::filesystem::path& file);  // empty: it does not say
Result<roles::CoreConfig> read_core_config(const std::filesystem::path& file);
Result<roles::TrackerConfig> read_tracker_config(const std::filesystem::path& file);
Result<roles::CacheConfig> read_cache_config(const std::filesystem::path& file);

// A UE file is for any subscriber: name and state are added by the caller.
struct UeFile {
  roles::UeConfig ue;
  std::filesystem::path ca;
};
Result<UeFile> read_ue_config(const std::filesystem::path& file);

}  // namespace sealcast::app
