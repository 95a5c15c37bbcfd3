// Files that are read or written in pieces, by a thread that may wait for the disk.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "kernel/fd.h"
#include "kernel/result.h"

namespace sluice::kernel {

/** An open file. Messages of errors begin with its name. */
class File {
 public:
  /** For reading; refuses folders. SYSTEM_CALL else. */
  static Result<File> open(const std::string& path);
  /** For writing, made or emptied; `-` is standard output. SYSTEM_CALL else. */
  static Result<File> create(const std::string& path);

  /** Up to `into.size()` bytes; 0 at the end, negative (with errno) on failure. */
  [[nodiscard]] ssize_t read(std::span<std::uint8_t> into) noexcept;
  /** All of it, however long it takes; 0, or the errno of what failed. */
  [[nodiscard]] int write(std::span<const std::uint8_t> bytes) noexcept;
  /** Back to the first byte; false when it is no regular file. */
  [[nodiscard]] bool rewind() noexcept;

 private:
  Fd fd_;
};

/** CLOCK_REALTIME in nanoseconds: since 1970, UTC. */
[[nodiscard]] std::int64_t wall_now() noexcept;

}  // namespace sluice::kernel
