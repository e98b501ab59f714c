#pragma once
// The directory that holds a host's certificates: agent.pem (certificate, chain and key) and cafile.pem.
#include <filesystem>

#include "crypto/tls.hpp"

namespace sealcast::io {

// A client goes without agent.pem, and without cafile.pem when it verifies nothing. The sentence of a failure names the
// file.
Result<std::shared_ptr<const crypto::TlsContext>> tls_context_of(const std::filesystem::path& directory,
                                                                 crypto::TlsSettings::Side side,
                                                                 crypto::TlsSettings::Verify verify);

}  // namespace sealcast::io
