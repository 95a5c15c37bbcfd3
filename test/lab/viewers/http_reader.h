// Reads HTTP/1.1 responses (RFC 9112) piece by piece: Content-Length, chunked, and until the end of the
// connection.
#pragma once

#include <strings.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace sluice::lab {

class HttpReader {
 public:
  enum class State { kHead, kLength, kChunkSize, kChunk, kChunkEnd, kTrailer, kUntilClose, kDone, kBroken };

  void start() { *this = HttpReader(); }
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] bool keeps_alive() const { return !close_; }
  /** Whether an end of the connection is the proper end of this response. */
  [[nodiscard]] bool may_end_here() const { return state_ == State::kDone || state_ == State::kUntilClose; }

  /** Bytes of the body that come next without framing between them: they may be skipped unseen. */
  [[nodiscard]] size_t run() const {
    return state_ == State::kLength || state_ == State::kChunk ? static_cast<size_t>(left_) : 0;
  }
  /** Goes on behind so many bytes of the run. */
  void skip(size_t size) {
    left_ -= size;
    if (left_ == 0) state_ = state_ == State::kLength ? State::kDone : State::kChunkEnd;
  }

  /**
   * Takes a piece up to the response's end; `body(const uint8_t*, size_t)` gets what belongs to the body.
   * @return how many bytes were taken
   */
  template <typename Body>
  size_t feed(const uint8_t* bytes, size_t size, Body&& body) {
    size_t taken = 0;
    while (taken < size && state_ != State::kDone && state_ != State::kBroken) {
      if (state_ == State::kUntilClose) {
        body(bytes + taken, size - taken);
        return size;
      }
      if (const size_t body_size = std::min(size - taken, run()); body_size > 0) {
        body(bytes + taken, body_size);
        skip(body_size);
        taken += body_size;
      } else {
        taken += take_line(bytes + taken, size - taken);
      }
    }
    return taken;
  }

 private:
  static constexpr size_t kLongestLine = 16'384;

  size_t take_line(const uint8_t* bytes, size_t size) {
    const void* newline = std::memchr(bytes, '\n', size);
    const size_t used =
        newline == nullptr ? size : static_cast<size_t>(static_cast<const uint8_t*>(newline) - bytes) + 1;
    line_.append(reinterpret_cast<const char*>(bytes), used);
    if (line_.size() > kLongestLine) state_ = State::kBroken;
    if (newline == nullptr || state_ == State::kBroken) return used;
    while (!line_.empty() && (line_.back() == '\n' || line_.back() == '\r')) line_.pop_back();
    line();
    line_.clear();
    return used;
  }

  void line() {
    if (state_ == State::kHead) {
      head_line();
    } else if (state_ == State::kChunkSize) {
      left_ = std::strtoull(line_.c_str(), nullptr, 16);
      state_ = left_ == 0 ? State::kTrailer : State::kChunk;
    } else if (state_ == State::kChunkEnd) {
      state_ = line_.empty() ? State::kChunkSize : State::kBroken;
    } else if (state_ == State::kTrailer && line_.empty()) {
      state_ = State::kDone;
    }
  }

  void head_line() {
    if (status_ == 0) {
      if (line_.rfind("HTTP/1.", 0) != 0 || line_.size() < 12) {
        state_ = State::kBroken;
      } else {
        status_ = std::atoi(line_.c_str() + 9);
        if (status_ == 0) state_ = State::kBroken;
      }
    } else if (line_.empty()) {
      end_of_head();
    } else {
      field();
    }
  }

  void field() {
    const size_t colon = line_.find(':');
    if (colon == std::string::npos) return;
    const std::string_view name(line_.data(), colon);
    const char* value = line_.c_str() + colon + 1;
    while (*value == ' ') value++;
    if (is(name, "content-length")) {
      left_ = std::strtoull(value, nullptr, 10);
      has_length_ = true;
    } else if (is(name, "transfer-encoding")) {
      chunked_ = strcasestr(value, "chunked") != nullptr;
    } else if (is(name, "connection")) {
      close_ = strcasestr(value, "close") != nullptr;
    }
  }

  void end_of_head() {
    if (chunked_) {
      state_ = State::kChunkSize;
    } else if (has_length_) {
      state_ = left_ == 0 ? State::kDone : State::kLength;
    } else {
      state_ = State::kUntilClose;
    }
  }

  static bool is(std::string_view name, std::string_view wanted) {
    return name.size() == wanted.size() && strncasecmp(name.data(), wanted.data(), wanted.size()) == 0;
  }

  State state_ = State::kHead;
  int status_ = 0;
  uint64_t left_ = 0;
  bool has_length_ = false;
  bool chunked_ = false;
  bool close_ = false;
  std::string line_;
};

}  // namespace sluice::lab
