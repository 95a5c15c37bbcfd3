// The access log: one line for every request that was answered.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "http/log_line.h"
#include "kernel/fd.h"
#include "kernel/result.h"

namespace sluice::http {

// Formatted by hand: the formatter moves the lines of such a list each time it is run.
// clang-format off
#define SLUICE_ACCESS_LOG_COUNTERS(X) X(lines) X(dropped) X(errors)
// clang-format on

/** In the order of ACCESS_LOG_COUNTERS in daemon/plane/contract-counters.ts. */
struct AccessLogCounters {
#define SLUICE_COUNTER_FIELD(name) std::uint64_t name;
  SLUICE_ACCESS_LOG_COUNTERS(SLUICE_COUNTER_FIELD)
#undef SLUICE_COUNTER_FIELD
};

struct AccessLogOptions {
  /** `-` for standard output. */
  std::string file;
  LogFormat format = LogFormat::combined;
};

/**
 * Lines are put into memory by the loops and written by a thread of its own, so that a disk that hangs holds
 * up nobody; what does not fit meanwhile is dropped and counted.
 */
class AccessLog {
 public:
  /** Opens or makes the file, which is appended to; SYSTEM_CALL with its name. The counters outlive it. */
  static kernel::Result<std::unique_ptr<AccessLog>> open(const AccessLogOptions& options,
                                                         AccessLogCounters& counters);
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;
  /** Writes what there is, and waits for that. From any thread, when no other uses it. */
  ~AccessLog();

  /** Takes a line. From any thread. */
  void write(const AccessRecord& record) noexcept;
  /** Lines so far are written as soon as the disk takes them. From any thread. */
  void flush() noexcept;

 private:
  static constexpr std::size_t kBuffers = 4;
  struct Buffer {
    std::array<char, 256 * 1024> bytes;
    std::size_t used = 0;
  };

  AccessLog(LogFormat format, kernel::Fd file, AccessLogCounters& counters);
  bool hand_over() noexcept;
  void run() noexcept;
  void put(Buffer& buffer) noexcept;

  const LogFormat format_;
  const kernel::Fd file_;
  AccessLogCounters& counters_;
  /** A ring: from `writing_` on `handed_` are for the writer, the next is being filled. */
  std::unique_ptr<std::array<Buffer, kBuffers>> buffers_;
  std::size_t filling_ = 0;
  /** Of those who fill, among them; taken before the other. */
  std::mutex fill_mutex_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::size_t writing_ = 0;
  std::size_t handed_ = 0;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace sluice::http
