#include "kernel/notify.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/un.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernel/fd.h"
#include "kernel/udp_offload.h"

using namespace sluice;
using kernel::Fd;

namespace {

/** A service manager: a bound datagram socket, and what came. */
class Manager {
 public:
  Manager() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    std::string folder = "/tmp/sluice-notify-XXXXXX";
    REQUIRE(mkdtemp(folder.data()) != nullptr);
    folder_ = folder;
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::memcpy(a.sun_path, path().c_str(), path().size());
    REQUIRE(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) == 0);
  }
  ~Manager() {
    unlink(path().c_str());
    rmdir(folder_.c_str());
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;
  [[nodiscard]] std::string path() const { return folder_ + "/notify"; }
  /** The next message; its descriptors go into `kept`. Empty when there is none. */
  std::string take(std::vector<Fd>& kept) const {
    std::array<char, 512> text{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control{};
    iovec piece{text.data(), text.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t n = ::recvmsg(socket_.get(), &message, 0);
    if (n < 0) return "";
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      std::array<int, 16> list{};
      const std::size_t bytes = c->cmsg_len - CMSG_LEN(0);
      std::memcpy(list.data(), CMSG_DATA(c), bytes);
      for (std::size_t i = 0; i < bytes / sizeof(int); i++) kept.emplace_back(list.at(i));
    }
    return {text.data(), static_cast<std::size_t>(n)};
  }

 private:
  Fd socket_;
  std::string folder_;
};

Fd listening_socket() {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto any = *kernel::Address::parse("127.0.0.1", 0);
  REQUIRE(::bind(fd.get(), any.get(), any.size()) == 0);
  REQUIRE(::listen(fd.get(), 1) == 0);
  return fd;
}

}  // namespace

TEST_CASE("notify: a message arrives as it was sent, with its descriptors") {
  const Manager manager;
  std::vector<Fd> kept;
  CHECK_FALSE(kernel::notify(manager.path(), "READY=1\nSTATUS=up", {}));
  CHECK(manager.take(kept) == "READY=1\nSTATUS=up");
  CHECK(kept.empty());

  const Fd listener = listening_socket();
  const std::array<int, 1> sent{listener.get()};
  CHECK_FALSE(kernel::notify(manager.path(), "FDSTORE=1\nFDNAME=viewers", sent));
  CHECK(manager.take(kept) == "FDSTORE=1\nFDNAME=viewers");
  REQUIRE(kept.size() == 1);
  CHECK(kept[0].get() != listener.get());
  CHECK(kernel::listening_address(kept[0].get())->text() ==
        kernel::listening_address(listener.get())->text());
}

TEST_CASE("notify: every failure is an error with a code, and nothing waits") {
  const Manager manager;
  const auto code = [](const std::string& socket, std::span<const int> descriptors = {}) {
    const auto error = kernel::notify(socket, "READY=1", descriptors);
    return error ? std::string(error->code) : "";
  };
  CHECK(code("relative/path") == "ADDRESS_INVALID");
  CHECK(code("") == "ADDRESS_INVALID");
  CHECK(code("@") == "ADDRESS_INVALID");
  CHECK(code("/" + std::string(200, 'x')) == "ADDRESS_INVALID");
  CHECK(code("/nonexistent/notify") == "SYSTEM_CALL");
  CHECK(code("@sluice-nobody-listens-here") == "SYSTEM_CALL");
  const std::array<int, kernel::kMostNotifyDescriptors + 1> many{};
  CHECK(code(manager.path(), many) == "USAGE");
  CHECK(code(manager.path(), std::array<int, 1>{9999}) == "SYSTEM_CALL");
  // A manager that reads nothing has a full queue some time.
  int sent = 0;
  while (sent < 100'000 && code(manager.path()).empty()) sent++;
  CHECK(sent > 0);
  CHECK(sent < 100'000);
}

TEST_CASE("notify: only listening sockets are taken over, and not passed on") {
  const Fd listener = listening_socket();
  REQUIRE(fcntl(listener.get(), F_SETFD, 0) == 0);
  const auto where = kernel::inherit_listener(listener.get());
  REQUIRE(where);
  CHECK(where->text().starts_with("127.0.0.1:"));
  CHECK(fcntl(listener.get(), F_GETFD) == FD_CLOEXEC);

  const Fd idle(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Fd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK_FALSE(kernel::inherit_listener(idle.get()));
  CHECK_FALSE(kernel::inherit_listener(file.get()));
  CHECK_FALSE(kernel::inherit_listener(9999));
}

TEST_CASE("notify: what is dropped frees its port though somebody else holds it") {
  Fd listener = listening_socket();
  const auto where = *kernel::listening_address(listener.get());
  const Fd held(dup(listener.get()));
  const Fd again(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(again.get(), where.get(), where.size()) == -1);
  kernel::drop_inherited(dup(listener.get()));
  CHECK_FALSE(kernel::listening_address(held.get()));
  CHECK(::bind(again.get(), where.get(), where.size()) == 0);
}

TEST_CASE("notify: the kernel here offloads UDP") {
  const auto found = kernel::udp_offload();
  // Both came long before the oldest kernel that this project runs on (Debian 12: 6.1).
  CHECK(found.segmentation);
  CHECK(found.coalescing);
}
