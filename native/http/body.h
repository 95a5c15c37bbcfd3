// What an answer is made of.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "codec/bytes.h"
#include "http/request_parser.h"
#include "kernel/address.h"

namespace sluice::http {

/** Told by a body or an answer that waited: it goes on. */
class AnswerListener {
 public:
  virtual void on_answer_progress() noexcept = 0;

 protected:
  ~AnswerListener() = default;
};

/** What is known of a viewer that follows a stream. */
struct FollowerState {
  std::uint64_t stream = 0;
  std::uint64_t drops = 0;
  std::uint64_t lag_bytes = 0;
};

/** The body of an answer that is not held as one string. On the loop thread. */
class Body {
 public:
  enum class Next : std::uint8_t {
    /** `bytes` can be sent. */
    bytes,
    /** Nothing now; the listener is told. */
    wait,
    /** Complete. */
    end,
    /** Cannot be completed: the connection is closed without a proper end. */
    broken,
  };
  struct Piece {
    Next next = Next::end;
    codec::Bytes bytes;
  };

  virtual ~Body() = default;
  /** The next bytes, at most a send's worth. Valid until the next call of anything on the loop. */
  virtual Piece peek() noexcept = 0;
  /** So many of them were sent. */
  virtual void consume(std::size_t n) noexcept = 0;
  /** Whom to tell after Next::wait; called once before the first peek. */
  virtual void listen(AnswerListener& listener) noexcept = 0;
  /** For bodies that follow a live stream. */
  [[nodiscard]] virtual std::optional<FollowerState> follower() const noexcept { return std::nullopt; }
};

class Pending;

/** Where the same request gets its answer. */
struct Elsewhere {
  std::uint32_t loop = 0;
  /** What is followed there; 0: what the path says. */
  std::uint64_t stream = 0;
};

/** An answer: `text`, `body` or neither; or one that is not known yet. */
struct Answer {
  unsigned status = 200;
  /** Null for none of its own; `fields` may have it. */
  const char* content_type = "text/plain; charset=utf-8";
  const char* cache_control = "no-cache";
  /** Seconds for Retry-After, or 0. */
  unsigned retry_after = 0;
  /** Further field lines, each ended by CRLF. */
  std::string fields;
  std::shared_ptr<const std::string> text;
  std::unique_ptr<Body> body;
  /** Length of `body`, where it is known. */
  std::optional<std::uint64_t> length;
  /** A body of unknown length: in chunks (RFC 9112 section 7.1), or else it ends with the connection. */
  bool chunked = false;
  /** The stream whose segments are fetched, for counting viewers; 0 for none. */
  std::uint64_t segmented_stream = 0;
  /** Where it came from, for the log: hit, miss, join, stale, revalidated, or empty. */
  const char* cache = "";
  /** Name of the site or stream that it is of, for the log; or null. */
  std::shared_ptr<const std::string> source;
  /** It is on another loop. */
  std::optional<Elsewhere> elsewhere;
  /** Not null: all else but the source is to be had from it. */
  std::unique_ptr<Pending> pending;
};

/** An answer that waits for something. Destroyed when its viewer goes. */
class Pending {
 public:
  virtual ~Pending() = default;
  /** Whom to tell when take() is worth calling; called once before it. */
  virtual void listen(AnswerListener& listener) noexcept = 0;
  /** The answer; none while it is not known, the listener is told then. */
  virtual std::optional<Answer> take() = 0;
};

[[nodiscard]] inline Answer answer_elsewhere(std::uint32_t loop, std::uint64_t stream = 0) {
  Answer answer;
  answer.elsewhere = {loop, stream};
  return answer;
}

/** Knows the paths. */
class Router {
 public:
  /** The answer to a GET of `path`; for HEAD it is made too, and its body thrown away. */
  virtual Answer resolve(const Request& request, const kernel::Address& remote) = 0;
  /** The answer to a GET that another loop's router sent here for a stream. */
  virtual Answer follow(std::uint64_t stream) = 0;
  /** Bytes sent for a stream's viewers. */
  virtual void on_sent(std::uint64_t stream, std::uint64_t bytes) noexcept = 0;

 protected:
  ~Router() = default;
};

}  // namespace sluice::http
