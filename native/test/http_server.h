// A scripted HTTP server on loopback for tests: real sockets, one thread, every wait bounded.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "kernel/address.h"
#include "kernel/fd.h"

namespace sluice::test {

/** One accepted connection. */
class Peer {
 public:
  Peer(int fd, const std::atomic<bool>& stop) : fd_(fd), stop_(stop) {}
  /** Reads one request head; empty when the client closed, or nothing came for 5 s, or the server ends. */
  std::string read_head() {
    std::string head;
    char c = 0;
    while (head.size() < 65536 && head.find("\r\n\r\n") == std::string::npos) {
      if (!readable(5000) || ::recv(fd_.get(), &c, 1, 0) != 1) return "";
      head.push_back(c);
    }
    return head;
  }
  bool send(const std::string& bytes) const {
    std::size_t at = 0;
    while (at < bytes.size()) {
      const ssize_t n = ::send(fd_.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (n <= 0) return false;
      at += static_cast<std::size_t>(n);
    }
    return true;
  }
  /** Sends in pieces of `size` bytes, each one segment of its own. */
  bool send_pieces(const std::string& bytes, std::size_t size) const {
    const int on = 1;
    setsockopt(fd_.get(), IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
    for (std::size_t at = 0; at < bytes.size(); at += size) {
      if (!send(bytes.substr(at, size))) return false;
    }
    return true;
  }
  /** True when the client closes within 5 s. */
  bool client_closed() const {
    char c = 0;
    return readable(5000) && ::recv(fd_.get(), &c, 1, 0) <= 0;
  }
  /** Closes with a reset instead of an orderly end. */
  void abort() {
    const linger now{1, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    fd_.reset();
  }
  void close() { fd_.reset(); }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  bool readable(int ms) const {
    for (int waited = 0; waited < ms && !stop_; waited += 10) {
      pollfd p{fd_.get(), POLLIN, 0};
      if (::poll(&p, 1, 10) == 1) return true;
    }
    return false;
  }
  kernel::Fd fd_;
  const std::atomic<bool>& stop_;
};

/** Serves connection after connection with `serve(peer, index)` until destroyed. */
class Server {
 public:
  explicit Server(std::function<void(Peer&, int)> serve) : serve_(std::move(serve)) {
    listener_.reset(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)::bind(listener_.get(), reinterpret_cast<sockaddr*>(&a), sizeof a);
    (void)::listen(listener_.get(), 8);
    socklen_t size = sizeof a;
    getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&a), &size);
    port_ = ntohs(a.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~Server() {
    stop_ = true;
    thread_.join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  [[nodiscard]] kernel::Address address() const { return *kernel::Address::parse("127.0.0.1", port_); }
  [[nodiscard]] int accepted() const { return accepted_; }

 private:
  void run() {
    while (!stop_) {
      pollfd p{listener_.get(), POLLIN, 0};
      if (::poll(&p, 1, 10) != 1) continue;
      Peer peer(::accept(listener_.get(), nullptr, nullptr), stop_);
      serve_(peer, accepted_++);
    }
  }
  std::function<void(Peer&, int)> serve_;
  kernel::Fd listener_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<int> accepted_{0};
  std::thread thread_;
};

}  // namespace sluice::test
