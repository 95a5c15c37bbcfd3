// One HTTP/1.1 answer as it comes in: head, then a body by length or in chunks (RFC 9112 6 and 7.1).
#pragma once

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace sluice::bench {

constexpr std::string_view kHeadEnd = "\r\n\r\n";

class Message {
 public:
  /**
   * Takes bytes up to the end of the message; `body(bytes, size)` is called for those of the body.
   * @return how many were taken
   */
  template <class Body>
  std::size_t feed(const std::uint8_t* bytes, std::size_t size, const Body& body) {
    std::size_t taken = 0;
    while (taken < size && state_ != State::kDone) {
      const std::size_t run = std::min(size - taken, this->run());
      if (run > 0) body(bytes + taken, run);
      if (run > 0) skip(run);
      taken += run > 0 ? run : line(bytes + taken, size - taken);
    }
    return taken;
  }
  /** Bytes of the body that come next without framing between them: they may be skipped unseen. */
  [[nodiscard]] std::size_t run() const { return state_ == State::kBody ? left_ : 0; }
  void skip(std::size_t size) {
    left_ -= size;
    if (left_ == 0) state_ = chunked_ ? State::kChunkEnd : State::kDone;
  }
  [[nodiscard]] bool done() const { return state_ == State::kDone; }
  /** Whether the status is 200; known when there is a head. */
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  /** Looked through at once for the end of a line; longer ones go on. */
  static constexpr std::size_t kLine = 512;
  enum class State { kHead, kBody, kChunkSize, kChunkEnd, kLastEnd, kDone };

  std::size_t line(const std::uint8_t* bytes, std::size_t size) {
    const std::size_t before = text_.size();
    size = std::min(size, kLine);
    text_.append(reinterpret_cast<const char*>(bytes), size);
    const std::string_view mark = state_ == State::kHead ? kHeadEnd : kHeadEnd.substr(2);
    const std::size_t end = text_.find(mark);
    if (end == std::string::npos) return size;
    text_.resize(end + mark.size());
    const std::size_t used = text_.size() - before;
    complete();
    text_.clear();
    return used;
  }

  void complete() {
    switch (state_) {
      case State::kHead:
        return head();
      case State::kChunkSize:
        left_ = std::strtoul(text_.c_str(), nullptr, 16);
        state_ = left_ > 0 ? State::kBody : State::kLastEnd;
        return;
      case State::kChunkEnd:
        state_ = State::kChunkSize;
        return;
      default:
        state_ = State::kDone;
    }
  }

  void head() {
    std::transform(text_.begin(), text_.end(), text_.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    static constexpr std::string_view kLength = "\r\ncontent-length:";
    ok_ = text_.compare(0, 13, "http/1.1 200 ") == 0;
    chunked_ = text_.find("\r\ntransfer-encoding: chunked\r\n") != std::string::npos;
    const std::size_t length = text_.find(kLength);
    if (length != std::string::npos)
      left_ = std::strtoul(text_.c_str() + length + kLength.size(), nullptr, 10);
    state_ = chunked_ ? State::kChunkSize : left_ > 0 ? State::kBody : State::kDone;
  }

  State state_ = State::kHead;
  std::string text_;
  bool ok_ = false;
  bool chunked_ = false;
  std::size_t left_ = 0;
};

}  // namespace sluice::bench
