// manager SOCKET WATCHDOG_USEC PROGRAM ARGUMENT...: a service manager as small as can be, for tests. It
// starts the program as systemd does (sd_notify(3), sd_listen_fds(3)), prints every message as one line
// `message A=B|C=D fds=N`, keeps descriptors that come with FDSTORE=1, and hands them to the next start. When
// the program has ended it prints `ended CODE` and waits for a line: `again` starts it once more; the end of
// the input ends the manager.
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

namespace {

constexpr int kFirst = 3;
/** Where descriptors are kept, out of the way of those that are passed on. */
constexpr int kKeepFrom = 100;

struct Kept {
  int fd;
  std::string name;
};

int bound_socket(const char* path) {
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  std::strncpy(a.sun_path, path, sizeof a.sun_path - 1);
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) std::exit(1);
  return fcntl(fd, F_DUPFD_CLOEXEC, kKeepFrom);
}

std::string field(const std::string& text, const std::string& name) {
  const std::size_t at = ("\n" + text).find("\n" + name + "=");
  if (at == std::string::npos) return "";
  const std::size_t begin = at + name.size() + 1;
  return text.substr(begin, text.find('\n', begin) - begin);
}

void receive(int socket, std::vector<Kept>& store) {
  std::array<char, 4096> buffer{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control{};
  iovec piece{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (n <= 0) return;
  std::string text(buffer.data(), static_cast<std::size_t>(n));
  std::size_t count = 0;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    std::array<int, 16> list{};
    std::memcpy(list.data(), CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    for (std::size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++, count++) {
      store.push_back({fcntl(list.at(i), F_DUPFD_CLOEXEC, kKeepFrom), field(text, "FDNAME")});
      close(list.at(i));
    }
  }
  if (field(text, "FDSTOREREMOVE") == "1") {
    std::erase_if(store, [&](const Kept& one) {
      if (one.name != field(text, "FDNAME")) return false;
      close(one.fd);
      return true;
    });
  }
  for (char& c : text)
    if (c == '\n') c = '|';
  std::cout << "message " << text << " fds=" << count << std::endl;
}

pid_t start(char** command, const char* socket, const char* watchdog, const std::vector<Kept>& store) {
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::string names;
  int next = kFirst;
  for (const Kept& one : store) {
    // The duplicate has no close-on-exec flag.
    dup2(one.fd, next++);
    names.append(names.empty() ? "" : ":").append(one.name);
  }
  setenv("NOTIFY_SOCKET", socket, 1);
  setenv("WATCHDOG_USEC", watchdog, 1);
  if (!store.empty()) {
    setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
    setenv("LISTEN_FDS", std::to_string(store.size()).c_str(), 1);
    setenv("LISTEN_FDNAMES", names.c_str(), 1);
  }
  execvp(command[0], command);
  _exit(127);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const int socket = bound_socket(argv[1]);
  std::vector<Kept> store;
  std::string line = "again";
  do {
    const pid_t child = start(argv + 3, argv[1], argv[2], store);
    std::cout << "started " << child << std::endl;
    int status = 0;
    for (bool ended = false; !ended;) {
      ended = waitpid(child, &status, WNOHANG) == child;
      // What was sent before the end is still there to be read.
      for (pollfd p{socket, POLLIN, 0}; poll(&p, 1, ended ? 0 : 20) == 1;) receive(socket, store);
    }
    std::cout << "ended " << (WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)) << std::endl;
  } while (std::getline(std::cin, line) && line == "again");
  return 0;
}
