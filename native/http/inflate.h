// Content codings of answers: gzip (RFC 1952), and deflate in both shapes that servers send (RFC 1950, RFC
// 1951).
#pragma once

#include <memory>
#include <string_view>

#include "codec/bytes.h"

namespace sluice::http {

enum class ContentCoding : std::uint8_t { identity, gzip, deflate, unsupported };

/** The coding that a Content-Encoding field names (RFC 9110 section 8.4.1); several at once are unsupported.
 */
[[nodiscard]] ContentCoding content_coding(std::string_view field) noexcept;

/**
 * Inflates one body piece by piece with the zlib of the process (Node's own). Output comes in pieces of at
 * most 32 KiB. A body that expands more than kMaxExpansion times, once past kFreeOutput bytes, is refused: a
 * few bytes must not keep the loop thread busy.
 */
class Inflater {
 public:
  static constexpr std::uint64_t kMaxExpansion = 200;
  static constexpr std::uint64_t kFreeOutput = 1 << 20;

  enum class State : std::uint8_t {
    running,  // give more input, or ask again while `output_full`
    ended,    // the compressed body is complete; what follows is ignored
    corrupt,
    expands,  // over kMaxExpansion
  };
  struct Step {
    State state = State::running;
    std::size_t consumed = 0;
    /** Valid until the next call. */
    codec::Bytes output;
    /** There may be more output without further input. */
    bool output_full = false;
  };

  /** None when the process has no zlib, memory is short, or the coding is not gzip or deflate. */
  static std::unique_ptr<Inflater> create(ContentCoding coding);
  /** True when the process has a zlib. */
  static bool available() noexcept;
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater();

  Step step(codec::Bytes input) noexcept;

 private:
  struct Stream;
  explicit Inflater(std::unique_ptr<Stream> stream) noexcept;
  std::unique_ptr<Stream> stream_;
};

}  // namespace sluice::http
