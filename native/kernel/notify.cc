#include "kernel/notify.h"

#include <fcntl.h>

#include <array>
#include <cstring>

#include "kernel/fd.h"
#include "kernel/unix_address.h"

namespace sluice::kernel {

std::optional<Error> notify(const std::string& socket, const std::string& state,
                            std::span<const int> descriptors) {
  const std::string what = "telling the service manager at " + socket;
  auto to = UnixAddress::of(socket);
  if (!to) return Error{"ADDRESS_INVALID", what + ": expected an absolute path, or one that begins with @"};
  if (descriptors.size() > kMostNotifyDescriptors) {
    return Error{"USAGE", what + ": expected at most " + std::to_string(kMostNotifyDescriptors) +
                              " descriptors, got " + std::to_string(descriptors.size())};
  }
  const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return system_error(what);
  std::string text = state;
  iovec piece{text.data(), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostNotifyDescriptors * sizeof(int))> control{};
  msghdr message{};
  message.msg_name = &to->address;
  message.msg_namelen = to->size;
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* const c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(c), descriptors.data(), descriptors.size_bytes());
  }
  if (::sendmsg(fd.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return system_error(what);
  return std::nullopt;
}

std::optional<Address> listening_address(int fd) noexcept {
  int listening = 0;
  socklen_t size = sizeof listening;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || listening == 0)
    return std::nullopt;
  sockaddr_storage bound{};
  size = sizeof bound;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) return std::nullopt;
  return Address::from(bound);
}

std::optional<Address> inherit_listener(int fd) noexcept {
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return std::nullopt;
  return listening_address(fd);
}

void drop_inherited(int fd) noexcept {
  const Fd owned(fd);
  ::shutdown(owned.get(), SHUT_RDWR);
}

}  // namespace sluice::kernel
