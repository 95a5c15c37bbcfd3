// One non-blocking HTTP client connection in an epoll set.
#pragma once

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <string>

#include "http_reader.h"

namespace sluice::lab {

inline int64_t clock_ms(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return time.tv_sec * 1'000 + time.tv_nsec / 1'000'000;
}
inline int64_t monotonic_ms() {
  return clock_ms(CLOCK_MONOTONIC);
}
/** Milliseconds since 1970, comparable with the lab's own clock on the same machine. */
inline int64_t real_ms() {
  return clock_ms(CLOCK_REALTIME);
}

/** Where all viewers of one run go. */
struct Server {
  sockaddr_storage address{};
  socklen_t address_size = 0;
  std::string host;
  /** SO_RCVBUF in bytes; 0 leaves the kernel's. Small, so that a viewer who stops reading is felt by the
   * server. */
  int receive_buffer = 0;

  /** False when `text` is neither an IPv4 nor an IPv6 address. */
  bool parse(const std::string& text, uint16_t port) {
    auto* four = reinterpret_cast<sockaddr_in*>(&address);
    auto* six = reinterpret_cast<sockaddr_in6*>(&address);
    if (inet_pton(AF_INET, text.c_str(), &four->sin_addr) == 1) {
      four->sin_family = AF_INET;
      four->sin_port = htons(port);
      address_size = sizeof(*four);
      host = text + ":" + std::to_string(port);
      return true;
    }
    if (inet_pton(AF_INET6, text.c_str(), &six->sin6_addr) != 1) return false;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    address_size = sizeof(*six);
    host = "[" + text + "]:" + std::to_string(port);
    return true;
  }
};

class Client {
 public:
  Client(int poller, const Server& server) : poller_(poller), server_(server) {}
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  virtual ~Client() { hang_up(); }

  /** What epoll reported. */
  void on_event(uint32_t events) {
    if ((events & EPOLLOUT) != 0 && !request_.empty()) flush();
    if (socket_ >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) receive();
  }
  /** Called every few hundredths of a second. */
  virtual void on_tick(int64_t now) = 0;

  /** Stops or goes on reading, like a viewer's paused player. */
  void pause(bool paused) {
    paused_ = paused;
    watch();
  }

 protected:
  [[nodiscard]] bool connected() const { return socket_ >= 0; }

  bool get(const std::string& path) {
    reader_.start();
    request_ = "GET " + path + " HTTP/1.1\r\nHost: " + server_.host + "\r\nUser-Agent: sluice-lab\r\n\r\n";
    if (socket_ >= 0) {
      flush();
      return socket_ >= 0;
    }
    return open();
  }

  void hang_up() {
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
  }

  virtual void on_body(const uint8_t* bytes, size_t size) = 0;
  /** The response is complete. */
  virtual void on_response() = 0;
  /** The connection ended before the response did; already closed. */
  virtual void on_lost() = 0;

  HttpReader reader_;

 private:
  bool open() {
    socket_ = socket(server_.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ < 0) return false;
    if (server_.receive_buffer > 0) {
      setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &server_.receive_buffer, sizeof(server_.receive_buffer));
    }
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT;
    event.data.ptr = this;
    epoll_ctl(poller_, EPOLL_CTL_ADD, socket_, &event);
    const int result =
        connect(socket_, reinterpret_cast<const sockaddr*>(&server_.address), server_.address_size);
    if (result == 0 || errno == EINPROGRESS) return true;
    hang_up();
    return false;
  }

  void watch() {
    if (socket_ < 0) return;
    epoll_event event{};
    event.events = (paused_ ? 0U : static_cast<uint32_t>(EPOLLIN)) |
                   (request_.empty() ? 0U : static_cast<uint32_t>(EPOLLOUT));
    event.data.ptr = this;
    epoll_ctl(poller_, EPOLL_CTL_MOD, socket_, &event);
  }

  void flush() {
    const ssize_t sent = send(socket_, request_.data(), request_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      if (errno == ENOTCONN || errno == EINPROGRESS) return;
      lose();
      return;
    }
    if (sent > 0) request_.erase(0, static_cast<size_t>(sent));
    watch();
  }

  void receive() {
    if (paused_) return;
    static std::array<uint8_t, 262'144> buffer;
    const ssize_t size = recv(socket_, buffer.data(), buffer.size(), 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) {
      end_of_connection();
      return;
    }
    if (request_.empty() && reader_.state() == HttpReader::State::kDone) return;
    reader_.feed(buffer.data(), static_cast<size_t>(size),
                 [this](const uint8_t* at, size_t count) { on_body(at, count); });
    if (reader_.state() == HttpReader::State::kDone) finish();
    if (reader_.state() == HttpReader::State::kBroken) lose();
  }

  void end_of_connection() {
    if (reader_.state() == HttpReader::State::kUntilClose) {
      hang_up();
      on_response();
    } else {
      lose();
    }
  }

  void finish() {
    if (!reader_.keeps_alive()) hang_up();
    on_response();
  }

  void lose() {
    hang_up();
    on_lost();
  }

  int poller_;
  const Server& server_;
  int socket_ = -1;
  bool paused_ = false;
  std::string request_;
};

}  // namespace sluice::lab
