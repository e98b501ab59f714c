#include "io/unix_socket.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "io/file.hpp"

namespace sealcast::io {

Result<UnixAddress> UnixAddress::of(const std::filesystem::path& path) {
  UnixAddress out;
  out.address_.sun_family = AF_UNIX;
  auto name = path.string();
  if (name.size() >= sizeof out.address_.sun_path) {
    auto directory = path.parent_path();
    out.directory_.reset(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!out.directory_) return fail(ErrorCode::network, system_error("cannot open", directory, errno).message);
    name = "/proc/self/fd/" + std::to_string(out.directory_.get()) + "/" + path.filename().string();
  }
  if (name.empty() || name.size() >= sizeof out.address_.sun_path)
    return fail(ErrorCode::usage, system_error("no name for a socket:", path, ENAMETOOLONG).message);
  std::copy(name.begin(), name.end(), out.address_.sun_path);
  return out;
}

std::string user_text(unsigned user, int process) {
  auto out = "uid " + std::to_string(user);
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> room;
  if (::getpwuid_r(user, &entry, room.data(), room.size(), &found) == 0 && found)
    out += " (" + std::string(entry.pw_name) + ")";
  return out + ", pid " + std::to_string(process);
}

std::string own_user_text() {
  return user_text(::getuid(), ::getpid());
}

std::string partner_text(int descriptor) {
  ucred partner{};
  socklen_t size = sizeof partner;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &partner, &size) != 0) return {};
  return user_text(partner.uid, partner.pid);
}

bool partner_trusted(int descriptor) {
  ucred partner{};
  socklen_t size = sizeof partner;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &partner, &size) != 0) return false;
  return partner.uid == 0 || partner.uid == ::geteuid();
}

}  // namespace sealcast::io
