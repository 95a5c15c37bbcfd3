// What an operation on a connection came to.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::secure {

/** What an operation on a connection came to; the same with TLS and without. */
struct Outcome {
  enum class Kind : std::uint8_t {
    /** Reading: `bytes` were read. Writing: all is with the kernel. */
    done,
    /** Again when the socket is readable. */
    wants_read,
    /** Again when the socket is writable. */
    wants_write,
    /** Reading: the peer has ended in good order; TLS: by close_notify. */
    closed,
    /** Reading: the socket ended without close_notify (RFC 8446 section 6.1): what came may have been cut. */
    truncated,
    /** The connection is of no use any more; the reason is told by whoever was asked. */
    failed,
  };
  Kind kind = Kind::done;
  /**
   * Read, or taken to be written: those are not to be given again, even with `wants_write`, where some of
   * them may still wait; then the next write, of what is left or of nothing, sends them on.
   */
  std::size_t bytes = 0;

  [[nodiscard]] bool done() const noexcept { return kind == Kind::done; }
};

}  // namespace sluice::secure
