#include "plane/ts_output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "kernel/counter.h"

namespace sluice::plane {

using kernel::bump;

namespace {

constexpr kernel::Nanos kLatest = 20 * kernel::kMillisecond;
constexpr std::size_t kWorthAWrite = 64 * 1024;
/** What a pipe that polls as writable takes without blocking. */
constexpr std::size_t kSafePiece = 4096;

}  // namespace

TsOutput::TsOutput(kernel::Reactor& reactor, int fd, InputCounters& counters)
    : reactor_(reactor), counters_(counters), fd_(fd), queue_(new std::uint8_t[kQueueSize]) {
  struct stat status {};
  if (fstat(fd, &status) != 0) {
    fail();
    return;
  }
  socket_ = S_ISSOCK(status.st_mode);
  pollable_ = socket_ || S_ISFIFO(status.st_mode) || isatty(fd) != 0;
  if (S_ISFIFO(status.st_mode)) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    reopened_.reset(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    if (reopened_) fd_ = reopened_.get();
  }
}

TsOutput::~TsOutput() {
  if (open()) flush();
  wait_for_room(false);
}

void TsOutput::fail() noexcept {
  bump(counters_.output_errors);
  wait_for_room(false);
  reactor_.disarm(*this);
  fd_ = -1;
}

void TsOutput::write(codec::Bytes bytes) noexcept {
  if (!open()) return;
  if (bytes.size() > kQueueSize - size_) return bump(counters_.output_errors);
  const std::size_t at = (begin_ + size_) % kQueueSize;
  const std::size_t first = std::min(bytes.size(), kQueueSize - at);
  std::memcpy(queue_.get() + at, bytes.data(), first);
  std::memcpy(queue_.get(), bytes.data() + first, bytes.size() - first);
  size_ += bytes.size();
  if (waiting_) return;
  if (size_ >= kWorthAWrite) {
    flush();
  } else if (!armed()) {
    reactor_.arm(*this, reactor_.now() + kLatest);
  }
}

void TsOutput::on_timer(kernel::Nanos) noexcept {
  flush();
}

void TsOutput::on_ready(std::uint32_t) noexcept {
  wait_for_room(false);
  flush();
}

void TsOutput::flush() noexcept {
  while (open() && size_ > 0 && flush_once()) {
  }
}

/** One system call; false when there is nothing more to do now. */
bool TsOutput::flush_once() noexcept {
  const std::size_t piece = std::min({size_, kQueueSize - begin_, kWorthAWrite});
  const ssize_t n = put(queue_.get() + begin_, piece);
  if (n >= 0) {
    begin_ = (begin_ + static_cast<std::size_t>(n)) % kQueueSize;
    size_ -= static_cast<std::size_t>(n);
    bump(counters_.output_bytes, static_cast<std::uint64_t>(n));
    return n > 0;
  }
  if (errno == EINTR) return true;
  if (errno == EAGAIN) {
    wait_for_room(true);
    return false;
  }
  if (pollable_) {
    fail();
    return false;
  }
  // A full disk may get room again: what is queued now is lost, the next write tries anew.
  bump(counters_.output_errors);
  size_ = 0;
  return false;
}

ssize_t TsOutput::put(const std::uint8_t* bytes, std::size_t size) noexcept {
  if (socket_) return ::send(fd_, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (pollable_ && !reopened_) {
    pollfd p{fd_, POLLOUT, 0};
    if (::poll(&p, 1, 0) != 1) {
      errno = EAGAIN;
      return -1;
    }
    size = std::min(size, kSafePiece);
  }
  return ::write(fd_, bytes, size);
}

void TsOutput::wait_for_room(bool wait) noexcept {
  if (wait == waiting_) return;
  if (wait) {
    // Somebody else on this loop may watch the same descriptor; then the timer asks again.
    if (!reactor_.watch(fd_, EPOLLOUT, *this)) return reactor_.arm(*this, reactor_.now() + kLatest);
  } else {
    reactor_.unwatch(fd_, *this);
  }
  waiting_ = wait;
}

}  // namespace sluice::plane
