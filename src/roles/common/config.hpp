#pragma once
// What each role must be told. The command line fills these from TOML files (docs/operations.md); `up` writes such
// files for a laboratory.
#include <filesystem>
#include <string>
#include <vector>

#include "sip/core/core.hpp"
#include "swarm/memory.hpp"

namespace sealcast::roles {

struct CoreConfig {
  std::filesystem::path state;  // subscribers.db, tls/
  sip::CoreConfig sip;
};

struct TrackerConfig {
  std::filesystem::path state;  // catalogue.db, tracker.pem, tls/
  std::string domain;
  std::string identity;           // "sip:tracker@<domain>"
  std::string listen;             // TLS, for the core
  std::string core;               // the core's service listener
  std::string core_name;          // subject of the core's certificate
  std::filesystem::path trust;    // trust.json
  std::int64_t token_life = 300;  // seconds: who may no longer have a content is cut off within it
};

struct CacheConfig {
  std::filesystem::path state;  // cache.db, master.key, objects/, tls/, holder.pem
  std::string name;             // "cache", "cache-b"
  std::string domain;
  std::string listen;  // SIP over TLS, for the core
  std::string core;
  std::string core_name;
  std::string media;                   // UDP, "127.0.0.1:0"
  std::filesystem::path admin_socket;  // empty: <state>/admin.sock
  std::filesystem::path socket() const { return admin_socket.empty() ? state / "admin.sock" : admin_socket; }
  std::filesystem::path trust;
  std::filesystem::path master_key;  // wraps content keys at rest; empty: <state>/master.key, beside what it wraps
  std::filesystem::path
      key_service;  // PEM of the key-service key; only its public half (JWK) when this cache holds no keys
  bool holds_keys = true;
  bool require_srtp = false;  // local policy: plain associations are refused whatever the description says
  bool insecure_signalling = false;
  std::uint64_t upload_limit = 0;                     // octets a second, 0 = none
  std::uint64_t scrub_rate = std::uint64_t{4} << 20;  // octets a second, 0 = never
  std::size_t memory_limit = swarm::k_default_memory_limit;
};

struct UeConfig {
  std::filesystem::path state;  // one subscriber's: password, device.pem, contents/, tls/
  std::string name;             // "alice"
  std::string domain;
  std::string core;               // the core's UE listener
  std::string transport = "tls";  // or "tcp": then nothing that needs an inline key works, unless insecure_signalling
  bool insecure_signalling = false;
  bool tls() const { return transport == "tls"; }
  std::string media = "127.0.0.1:0";
  std::filesystem::path trust;
  bool require_srtp = false;
  std::uint64_t download_limit = 0, upload_limit = 0;  // octets a second, 0 = none
  std::size_t memory_limit = swarm::k_default_memory_limit;
};

}  // namespace sealcast::roles
