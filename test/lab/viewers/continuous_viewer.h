// A viewer of continuous MPEG-TS over HTTP: stays connected, checks every packet, notes interruptions.
#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include "connection.h"
#include "ts_check.h"

namespace sluice::lab {

/** A pause in the bytes longer than this is an interruption; it ends with the next random access point. */
constexpr int64_t kInterruptionMs = 1'500;

class ContinuousViewer final : public Client {
 public:
  ContinuousViewer(int poller, const Server& server, std::string path, int64_t start_at)
      : Client(poller, server), path_(std::move(path)), next_attempt_(start_at) {}

  void on_tick(int64_t now) override {
    if (!connected() && now >= next_attempt_) {
      next_attempt_ = now + kRetryMs;
      check_.restart();
      attempts++;
      if (get(path_)) asked_at_ = now;
    }
    if (bytes > 0 && !interrupted && now - last_byte_ > kInterruptionMs) {
      interrupted = true;
      interruptions++;
    }
    if (bytes > 0) longest_gap = std::max(longest_gap, now - last_byte_);
  }

  [[nodiscard]] bool is_connected() const { return connected(); }
  [[nodiscard]] bool receives(int64_t now) const { return bytes > 0 && now - last_byte_ < kInterruptionMs; }
  [[nodiscard]] const TsCounters& ts() const { return check_.counters; }

  uint64_t bytes = 0;
  uint64_t attempts = 0;
  uint64_t disconnects = 0;
  uint64_t bad_answers = 0;
  uint64_t interruptions = 0;
  bool interrupted = false;
  /** Milliseconds since 1970 of the random access point that ended the last interruption; 0 when there was
   * none. */
  int64_t resumed_at = 0;
  /** Milliseconds without a byte; reset by whoever reports it. */
  int64_t longest_gap = 0;
  int64_t first_byte_ms = -1;

 private:
  static constexpr int64_t kRetryMs = 1'000;

  void on_body(const uint8_t* data, size_t size) override {
    const int64_t now = monotonic_ms();
    if (reader_.status() != 200) return;
    if (bytes == 0) first_byte_ms = now - asked_at_;
    if (bytes > 0) longest_gap = std::max(longest_gap, now - last_byte_);
    last_byte_ = now;
    bytes += size;
    if (check_.feed(data, size) && interrupted) {
      interrupted = false;
      resumed_at = real_ms();
    }
  }
  /** Continuous means without an end: any end counts. */
  void on_response() override {
    if (reader_.status() == 200) {
      disconnects++;
    } else {
      bad_answers++;
    }
    hang_up();
  }
  void on_lost() override { disconnects++; }

  std::string path_;
  int64_t next_attempt_;
  int64_t asked_at_ = 0;
  int64_t last_byte_ = 0;
  TsCheck check_;
};

}  // namespace sluice::lab
