// bare-objects LISTEN-PORT ORIGIN-ADDRESS ORIGIN-PORT [CERTIFICATE KEY]
//
// The least that a single-flight cache of growing objects has to do: one request to the origin for each
// object whoever asks, its answer kept as it came, head and framing included, and handed to every viewer as
// it grows. The first bytes go out at once, then pieces of 64 KB. No freshness, no ranges, no limits, hardly
// any parsing.
#pragma once

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "../../test/lab/viewers/http_reader.h"
#include "../lib/net.h"
#include "pattern.h"
#include "transport.h"

namespace sluice::bench {

template <class Transport>
class Bare {
 public:
  Bare(int listener, const sockaddr_in& origin, const typename Transport::Shared& shared)
      : listener_(listener), origin_(origin), shared_(shared) {
    watch(listener, nullptr, EPOLLIN);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> ready{};
    for (;;) {
      const int n = epoll_wait(poller_, ready.data(), static_cast<int>(ready.size()), 1000);
      for (int i = 0; i < n; i++) {
        const epoll_event& event = ready[static_cast<std::size_t>(i)];
        auto* const end = static_cast<End*>(event.data.ptr);
        if (end == nullptr) {
          accept_all();
        } else if (end->is_viewer) {
          serve(*static_cast<Viewer*>(end), event.events);
        } else {
          fetch(*static_cast<Flight*>(end));
        }
      }
      gone_.clear();
      if (n <= 0) end_with_parent();
    }
  }

 private:
  static constexpr std::size_t kPiece = 64 * 1024;
  /** With room for a whole object the copies leave the CPU's cache before they are sent. */
  static constexpr int kSendBuffer = 256 * 1024;
  static constexpr std::size_t kKept = 512;

  struct Viewer;
  struct Object {
    std::string bytes;
    std::size_t offered = 0;
    bool complete = false;
    std::vector<Viewer*> readers;
  };
  /** What epoll points to. */
  struct End {
    bool is_viewer;
  };
  struct Viewer : End {
    Viewer(const typename Transport::Shared& shared, int fd) : End{true}, transport(shared, fd) {}
    Transport transport;
    std::string request;
    std::shared_ptr<Object> object;
    std::size_t sent = 0;
  };
  /** A connection to the origin; idle when it has no object. */
  struct Flight : End {
    explicit Flight(int socket) : End{false}, fd(socket) {}
    int fd;
    lab::HttpReader answer;
    std::shared_ptr<Object> object;
  };

  void watch(int fd, End* end, std::uint32_t events) const {
    epoll_event e{};
    e.events = events;
    e.data.ptr = end;
    must(epoll_ctl(poller_, EPOLL_CTL_ADD, fd, &e) == 0, "epoll_ctl");
  }

  void accept_all() {
    for (int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); fd >= 0;
         fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) {
      set(fd, SOL_SOCKET, SO_SNDBUF, kSendBuffer, "SO_SNDBUF");
      auto viewer = std::make_unique<Viewer>(shared_, fd);
      watch(fd, viewer.get(), EPOLLIN | EPOLLOUT | EPOLLET);
      viewers_.emplace(fd, std::move(viewer));
    }
  }

  void serve(Viewer& viewer, std::uint32_t events) {
    if (!viewer.transport.handshake()) {
      if (errno != EAGAIN) drop(viewer);
      return;
    }
    if ((events & ~EPOLLOUT) != 0 && !receive(viewer)) return drop(viewer);
    if (viewer.object == nullptr) begin(viewer);
    if (viewer.object != nullptr && !send_to(viewer)) drop(viewer);
  }

  static bool receive(Viewer& viewer) {
    std::array<char, 4096> bytes{};
    for (;;) {
      const ssize_t n = viewer.transport.read(bytes.data(), bytes.size());
      if (n <= 0) return n < 0 && errno == EAGAIN;
      viewer.request.append(bytes.data(), static_cast<std::size_t>(n));
    }
  }

  void begin(Viewer& viewer) {
    const std::size_t end = viewer.request.find(kHeadEnd);
    if (end == std::string::npos) return;
    std::uint64_t number = 0;
    must(object_of(viewer.request, number), "a request for no object");
    viewer.object =
        object(number, viewer.request.substr(viewer.request.find("/seg-"), end + kHeadEnd.size()));
    viewer.request.erase(0, end + kHeadEnd.size());
    viewer.object->readers.push_back(&viewer);
    viewer.sent = 0;
  }

  std::shared_ptr<Object> object(std::uint64_t number, const std::string& request) {
    std::shared_ptr<Object>& found = objects_[number];
    if (found == nullptr) {
      found = std::make_shared<Object>();
      ask_origin(found, "GET " + request);
      order_.push_back(number);
      if (order_.size() > kKept) {
        objects_.erase(order_.front());
        order_.pop_front();
      }
    }
    return objects_[number];
  }

  void ask_origin(const std::shared_ptr<Object>& object, const std::string& request) {
    if (idle_.empty()) connect_origin();
    Flight& flight = *idle_.back();
    idle_.pop_back();
    flight.object = object;
    flight.answer.start();
    must(send(flight.fd, request.data(), request.size(), MSG_NOSIGNAL) > 0, "send");
  }

  void connect_origin() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && connect(fd, base(origin_), sizeof origin_) == 0, "connect");
    flights_.push_back(std::make_unique<Flight>(fd));
    idle_.push_back(flights_.back().get());
    watch(fd, flights_.back().get(), EPOLLIN);
  }

  void fetch(Flight& flight) {
    const ssize_t n = recv(flight.fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    must(n > 0 && flight.object != nullptr, "the origin went away");
    flight.answer.feed(buffer_.data(), static_cast<std::size_t>(n), [](const std::uint8_t*, std::size_t) {});
    const std::shared_ptr<Object> object = flight.object;
    object->bytes.append(reinterpret_cast<const char*>(buffer_.data()), static_cast<std::size_t>(n));
    object->complete = flight.answer.state() == lab::HttpReader::State::kDone;
    if (object->complete) {
      flight.object = nullptr;
      idle_.push_back(&flight);
    }
    if (object->offered == 0 || object->complete || object->bytes.size() - object->offered >= kPiece)
      offer(*object);
  }

  /** Backwards: a reader that is done leaves the list, the last one takes its place. */
  void offer(Object& object) {
    object.offered = object.bytes.size();
    for (std::size_t i = object.readers.size(); i-- > 0;) {
      if (!send_to(*object.readers[i])) drop(*object.readers[i]);
    }
  }

  bool send_to(Viewer& viewer) {
    Object& object = *viewer.object;
    while (viewer.sent < object.offered) {
      const std::size_t left = object.offered - viewer.sent;
      const ssize_t n = viewer.transport.write(object.bytes.data() + viewer.sent, left);
      if (n < 0) return errno == EAGAIN;
      viewer.sent += static_cast<std::size_t>(n);
      if (Transport::kShortIsFull && static_cast<std::size_t>(n) < left) return true;
    }
    if (object.complete && viewer.sent == object.bytes.size()) leave(viewer);
    return true;
  }

  void leave(Viewer& viewer) {
    auto& readers = viewer.object->readers;
    *std::find(readers.begin(), readers.end(), &viewer) = readers.back();
    readers.pop_back();
    viewer.object = nullptr;
  }

  /** Its memory is freed after the round: epoll may have told of it twice. */
  void drop(Viewer& viewer) {
    const int fd = viewer.transport.fd();
    if (viewer.object != nullptr) leave(viewer);
    const auto found = viewers_.find(fd);
    close(fd);
    gone_.push_back(std::move(found->second));
    viewers_.erase(found);
  }

  int listener_;
  sockaddr_in origin_;
  const typename Transport::Shared& shared_;
  int poller_ = epoll_create1(EPOLL_CLOEXEC);
  std::unordered_map<int, std::unique_ptr<Viewer>> viewers_;
  std::vector<std::unique_ptr<Viewer>> gone_;
  std::unordered_map<std::uint64_t, std::shared_ptr<Object>> objects_;
  std::deque<std::uint64_t> order_;
  std::vector<std::unique_ptr<Flight>> flights_;
  std::vector<Flight*> idle_;
  std::array<std::uint8_t, 256 * 1024> buffer_{};
};

}  // namespace sluice::bench
