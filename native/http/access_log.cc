#include "http/access_log.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>

#include "kernel/counter.h"

namespace sluice::http {

using kernel::bump;

namespace {

constexpr mode_t kMode = 0640;
/** A reader of a pipe that reads nothing for so long (milliseconds) loses the rest. */
constexpr int kPatience = 5000;

kernel::Fd open_file(const std::string& file) {
  if (file == "-") return kernel::Fd(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
  return kernel::Fd(::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, kMode));
}

/** Writes some; false when the rest is lost. */
bool write_some(int fd, std::span<const char>& bytes) noexcept {
  const ssize_t n = ::write(fd, bytes.data(), bytes.size());
  if (n >= 0) {
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    return true;
  }
  if (errno == EINTR) return true;
  pollfd writable{fd, POLLOUT, 0};
  return errno == EAGAIN && poll(&writable, 1, kPatience) == 1;
}

}  // namespace

kernel::Result<std::unique_ptr<AccessLog>> AccessLog::open(const AccessLogOptions& options,
                                                           AccessLogCounters& counters) {
  kernel::Fd file = open_file(options.file);
  if (!file) return kernel::system_error("opening the access log `" + options.file + "`");
  return std::unique_ptr<AccessLog>(new AccessLog(options.format, std::move(file), counters));
}

AccessLog::AccessLog(LogFormat format, kernel::Fd file, AccessLogCounters& counters)
    : format_(format),
      file_(std::move(file)),
      counters_(counters),
      buffers_(std::make_unique_for_overwrite<std::array<Buffer, kBuffers>>()),
      thread_([this] { run(); }) {
  pthread_setname_np(thread_.native_handle(), "sluice-log");
}

AccessLog::~AccessLog() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
  put((*buffers_)[filling_]);
}

void AccessLog::write(const AccessRecord& record) noexcept {
  const std::lock_guard lock(fill_mutex_);
  Buffer* buffer = &(*buffers_)[filling_];
  if (buffer->bytes.size() - buffer->used < kMostLogLine) {
    if (!hand_over()) return bump(counters_.dropped);
    buffer = &(*buffers_)[filling_];
  }
  std::timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  buffer->used += format_line(format_, record, now, std::span(buffer->bytes).subspan(buffer->used));
  bump(counters_.lines);
}

void AccessLog::flush() noexcept {
  const std::lock_guard lock(fill_mutex_);
  if ((*buffers_)[filling_].used > 0) hand_over();
}

/** False when the writer has all the others still. */
bool AccessLog::hand_over() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (handed_ == kBuffers - 1) return false;
    handed_++;
  }
  wake_.notify_one();
  filling_ = (filling_ + 1) % kBuffers;
  return true;
}

void AccessLog::run() noexcept {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return handed_ > 0 || ending_; });
    if (handed_ == 0) return;
    lock.unlock();
    put((*buffers_)[writing_]);
    lock.lock();
    writing_ = (writing_ + 1) % kBuffers;
    handed_--;
  }
}

void AccessLog::put(Buffer& buffer) noexcept {
  std::span<const char> rest(buffer.bytes.data(), buffer.used);
  while (!rest.empty() && write_some(file_.get(), rest)) {
  }
  if (!rest.empty()) bump(counters_.errors);
  buffer.used = 0;
}

}  // namespace sluice::http
