// Writes MPEG-TS to a file descriptor that somebody else owns, without ever waiting for it.
#pragma once

#include <memory>

#include "codec/bytes.h"
#include "kernel/fd.h"
#include "kernel/reactor.h"
#include "plane/input_counters.h"

namespace sluice::plane {

/**
 * A bounded queue before a file, pipe or socket. When a pipe or socket takes nothing and the queue is full,
 * whole writes are dropped, each counted in output_errors; so is every failed system call. When the reader of
 * a pipe has gone (EPIPE), that counts one error and writing ends. Bytes leave at the latest 20 ms after they
 * came.
 */
class TsOutput final : private kernel::Watcher, private kernel::Timer {
 public:
  static constexpr std::size_t kQueueSize = 4 << 20;

  /** `fd` stays open until the object is destroyed; its flags are not changed. */
  TsOutput(kernel::Reactor& reactor, int fd, InputCounters& counters);
  TsOutput(const TsOutput&) = delete;
  TsOutput& operator=(const TsOutput&) = delete;
  /** Writes what a file, or a pipe with room, still takes. */
  ~TsOutput();

  void write(codec::Bytes bytes) noexcept;
  /** False once the reader has gone. */
  [[nodiscard]] bool open() const noexcept { return fd_ >= 0; }

 private:
  void on_ready(std::uint32_t events) noexcept override;
  void on_timer(kernel::Nanos now) noexcept override;
  void flush() noexcept;
  bool flush_once() noexcept;
  ssize_t put(const std::uint8_t* bytes, std::size_t size) noexcept;
  void wait_for_room(bool wait) noexcept;
  void fail() noexcept;

  kernel::Reactor& reactor_;
  InputCounters& counters_;
  int fd_;
  /** A pipe opened once more, so that O_NONBLOCK is ours alone. */
  kernel::Fd reopened_;
  bool socket_ = false;
  bool pollable_ = false;
  bool waiting_ = false;
  std::unique_ptr<std::uint8_t[]> queue_;
  std::size_t begin_ = 0;
  std::size_t size_ = 0;
};

}  // namespace sluice::plane
