// stampede ADDRESS PORT PATH CLIENTS TIMEOUT-MS [LEAD-MS]
//
// Opens so many keep-alive connections, then asks for PATH on all of them at once. With LEAD-MS a first
// asker, who is not counted among the clients, asks that long before the others and goes away as soon as they
// have asked.
//
// Prints one JSON line: answers that were complete, by status and by body (length and FNV-1a hash of it: one
// entry when all got the same); `lost` ended before they were complete, `late` had not ended after
// TIMEOUT-MS; milliseconds from the requests to the first byte of the first client and to the end of the last
// answer. Exit code 0 whatever the answers are.
#include <sys/resource.h>

#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../viewers/connection.h"

namespace sluice::lab {
namespace {

/** FNV-1a, 64 bits. */
class Hash {
 public:
  void add(const uint8_t* bytes, size_t size) {
    for (size_t i = 0; i < size; i++) value_ = (value_ ^ bytes[i]) * 0x100000001b3;
  }
  [[nodiscard]] uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325;
};

struct Asker {
  int socket = -1;
  HttpReader answer;
  size_t size = 0;
  Hash hash;
};

struct Outcome {
  std::map<std::string, size_t> statuses;
  std::map<std::string, size_t> bodies;
  size_t complete = 0;
  size_t lost = 0;
  int64_t first_byte_ms = -1;
  int64_t last_end_ms = -1;
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

class Stampede {
 public:
  Stampede(const Server& server, const std::string& path, size_t clients)
      : server_(server), askers_(clients), poller_(epoll_create1(EPOLL_CLOEXEC)) {
    request_ = "GET " + path + " HTTP/1.1\r\nHost: " + server.host + "\r\nUser-Agent: sluice-lab\r\n\r\n";
  }

  Outcome run(int64_t timeout_ms, int64_t lead_ms) {
    const int leader = lead_ms > 0 ? open() : -1;
    for (size_t i = 0; i < askers_.size(); i++) watch(i);
    if (leader >= 0) {
      ask(leader);
      wait_until(monotonic_ms() + lead_ms);
    }
    asked_at_ = monotonic_ms();
    for (const Asker& asker : askers_) ask(asker.socket);
    if (leader >= 0) close(leader);
    wait_until(asked_at_ + timeout_ms);
    return outcome_;
  }

 private:
  [[nodiscard]] int open() const {
    const int fd = socket(server_.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    if (connect(fd, reinterpret_cast<const sockaddr*>(&server_.address), server_.address_size) != 0)
      die("connect");
    return fd;
  }

  void watch(size_t i) {
    askers_[i].socket = open();
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    if (epoll_ctl(poller_, EPOLL_CTL_ADD, askers_[i].socket, &event) != 0) die("epoll_ctl");
  }

  void ask(int fd) const {
    // A connection that the server has ended shows when it is read.
    (void)send(fd, request_.data(), request_.size(), MSG_NOSIGNAL);
  }

  void wait_until(int64_t end) {
    std::array<epoll_event, 256> ready{};
    for (int64_t now = monotonic_ms(); now < end && outcome_.complete + outcome_.lost < askers_.size();
         now = monotonic_ms()) {
      const int n = epoll_wait(poller_, ready.data(), ready.size(), static_cast<int>(end - now));
      for (int i = 0; i < n; i++) take(askers_[ready[static_cast<size_t>(i)].data.u64]);
    }
  }

  void take(Asker& asker) {
    static std::array<uint8_t, 262'144> buffer;
    const ssize_t size = recv(asker.socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return;
    if (outcome_.first_byte_ms < 0) outcome_.first_byte_ms = monotonic_ms() - asked_at_;
    if (size <= 0) return end(asker, asker.answer.state() == HttpReader::State::kUntilClose);
    asker.answer.feed(buffer.data(), static_cast<size_t>(size), [&asker](const uint8_t* bytes, size_t count) {
      asker.hash.add(bytes, count);
      asker.size += count;
    });
    if (asker.answer.state() == HttpReader::State::kDone) end(asker, true);
    if (asker.answer.state() == HttpReader::State::kBroken) end(asker, false);
  }

  void end(Asker& asker, bool complete) {
    close(asker.socket);
    asker.socket = -1;
    outcome_.last_end_ms = monotonic_ms() - asked_at_;
    if (!complete) {
      outcome_.lost++;
      return;
    }
    outcome_.complete++;
    outcome_.statuses[std::to_string(asker.answer.status())]++;
    std::array<char, 64> name{};
    std::snprintf(name.data(), name.size(), "%zu:%016llx", asker.size,
                  static_cast<unsigned long long>(asker.hash.value()));
    outcome_.bodies[name.data()]++;
  }

  const Server& server_;
  std::vector<Asker> askers_;
  int poller_;
  std::string request_;
  int64_t asked_at_ = 0;
  Outcome outcome_;
};

std::string json(const std::map<std::string, size_t>& counts) {
  std::string text = "{";
  for (const auto& [name, count] : counts) {
    text += (text.size() > 1 ? ",\"" : "\"") + name + "\":" + std::to_string(count);
  }
  return text + "}";
}

/** A socket for every client needs a descriptor. */
void allow_sockets(size_t clients) {
  rlimit limit{};
  const rlim_t wanted = clients + 64;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  limit.rlim_max = std::max(limit.rlim_max, wanted);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) die("RLIMIT_NOFILE");
}

}  // namespace
}  // namespace sluice::lab

int main(int count, char** arguments) {
  using namespace sluice::lab;
  Server server;
  const auto number = [&](int i) { return i < count ? std::strtol(arguments[i], nullptr, 10) : 0; };
  if (count < 6 || count > 7 || !server.parse(arguments[1], static_cast<uint16_t>(number(2)))) {
    std::fputs("usage: stampede ADDRESS PORT PATH CLIENTS TIMEOUT-MS [LEAD-MS]\n", stderr);
    return 2;
  }
  const auto clients = static_cast<size_t>(number(4));
  allow_sockets(clients);
  const Outcome outcome = Stampede(server, arguments[3], clients).run(number(5), number(6));
  std::printf(
      "{\"clients\":%zu,\"complete\":%zu,\"lost\":%zu,\"late\":%zu,\"statuses\":%s,\"bodies\":%s,"
      "\"firstByteMs\":%lld,\"lastEndMs\":%lld}\n",
      clients, outcome.complete, outcome.lost, clients - outcome.complete - outcome.lost,
      json(outcome.statuses).c_str(), json(outcome.bodies).c_str(),
      static_cast<long long>(outcome.first_byte_ms), static_cast<long long>(outcome.last_end_ms));
}
