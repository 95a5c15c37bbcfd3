// Names of Unix sockets (unix(7)).
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <optional>
#include <string>

namespace sluice::kernel {

/** A Unix socket's address, ready for the socket calls. */
struct UnixAddress {
  sockaddr_un address{};
  socklen_t size = 0;

  /** An absolute path, or `@` and a name in the abstract namespace; none for anything else. */
  static std::optional<UnixAddress> of(const std::string& path) noexcept {
    UnixAddress a;
    a.address.sun_family = AF_UNIX;
    if (path.size() < 2 || path.size() >= sizeof a.address.sun_path || (path[0] != '/' && path[0] != '@'))
      return std::nullopt;
    std::memcpy(a.address.sun_path, path.data(), path.size());
    // The abstract namespace: a zero first, and the length alone ends the name.
    if (path[0] == '@') a.address.sun_path[0] = '\0';
    a.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    return a;
  }
  [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&address); }
};

}  // namespace sluice::kernel
