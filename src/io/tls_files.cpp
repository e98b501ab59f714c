#include "io/tls_files.hpp"

#include "io/file.hpp"

namespace sealcast::io {
namespace {

constexpr std::size_t k_largest_file = 4 << 20;

}  // namespace

Result<std::shared_ptr<const crypto::TlsContext>> tls_context_of(const std::filesystem::path& directory,
                                                                 crypto::TlsSettings::Side side,
                                                                 crypto::TlsSettings::Verify verify) {
  using Settings = crypto::TlsSettings;
  const auto own = directory / "agent.pem", trust = directory / "cafile.pem";
  Settings settings{side, verify, {}, {}};
  std::error_code ignored;
  if (side == Settings::Side::server || std::filesystem::exists(own, ignored)) {
    SEALCAST_TRY_ASSIGN(const auto pem, read_file(own, k_largest_file));
    settings.own = string_of(pem);
  }
  if (verify == Settings::Verify::required) {
    SEALCAST_TRY_ASSIGN(const auto pem, read_file(trust, k_largest_file));
    settings.trust = string_of(pem);
  }
  auto context = crypto::TlsContext::make(settings);
  if (context) return context;
  auto error = context.error();
  error.message = (error.side == "own" ? own : trust).string() + " " + error.message;
  error.side = {};
  return fail(std::move(error));
}

}  // namespace sealcast::io
