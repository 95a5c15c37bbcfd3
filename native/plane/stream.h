// One stream: its ring, what fills it, when it departs, and who reads it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "plane/departures.h"
#include "plane/segmenter.h"
#include "plane/ts_sink.h"

namespace sluice::plane {

/**
 * Byte readers are told of so many bytes at a time, where there are as many, and send as many at once: whole
 * RTP packets that fit a TCP super-packet (64 KiB with its headers, 7 x 8948 bytes with jumbo frames), so
 * that none is followed by a small rest.
 */
constexpr std::uint64_t kBytePiece = 47 * kFullPayload;

struct StreamOptions {
  std::string name;
  std::size_t ring_bytes = 32 << 20;
  Nanos delay = 300 * kernel::kMillisecond;
  Nanos spread = 0;
  std::optional<SmootherOptions> smoothing;
  std::optional<std::uint16_t> program;
  Nanos segment = 2 * kernel::kSecond;
  std::size_t window = 6;
  std::uint32_t ssrc = 0;
  /** Where it is placed; none: on the loop with the least to do. */
  std::optional<std::uint32_t> loop = {};
};

/** Told when packets depart; one call for a batch. */
class PacketReader {
 public:
  /** Packets `first` up to, not including, `end` depart now. */
  virtual void on_departure(Ring& ring, std::int64_t first, std::int64_t end) noexcept = 0;

 protected:
  ~PacketReader() = default;
};

/** A reader of the ring's bytes that follows the live edge (an HTTP viewer). */
class ByteReader {
 public:
  /** There are new bytes up to Stream::edge(). May detach itself. */
  virtual void on_bytes() noexcept = 0;
  /** The stream is about to be destroyed; nothing of it may be touched afterwards. */
  virtual void on_stream_gone() noexcept = 0;

 protected:
  ~ByteReader() = default;
};

/** Told of what TypeScript wants to know. */
class StreamObserver {
 public:
  virtual void on_stream_ready() noexcept = 0;
  virtual void on_source_fault(const char* code, std::string detail) = 0;

 protected:
  ~StreamObserver() = default;
};

/** All members on the loop thread. */
class Stream final : public TsSink, private PacketiserEvents, private kernel::Timer {
 public:
  static kernel::Result<std::unique_ptr<Stream>> create(kernel::Reactor& reactor,
                                                        const StreamOptions& options,
                                                        StreamCounters& counters, LoopCounters& loop,
                                                        StreamObserver& observer);
  ~Stream();

  // TsSink
  void write(codec::Bytes ts, Nanos arrival) noexcept override;
  void splice() noexcept override;
  [[nodiscard]] bool wants_more() const noexcept override;
  [[nodiscard]] Nanos patience() const noexcept override;
  /**
   * `listener` is called when wants_more() has become true again. One for each owner; an empty function takes
   * it away. Must not be called from within a listener.
   */
  void on_room(const void* owner, std::function<void()> listener);

  /** As long as there are none, packets depart up to patience() late. */
  void attach(PacketReader& reader);
  void detach(PacketReader& reader) noexcept;
  void attach(ByteReader& reader);
  void detach(ByteReader& reader) noexcept;
  /** For readers of what has long departed: told only when the stream goes. */
  void hold(ByteReader& reader) { held_readers_.push_back(&reader); }
  void let_go(ByteReader& reader) noexcept { std::erase(held_readers_, &reader); }

  /** For the log; never null. */
  [[nodiscard]] const std::shared_ptr<const std::string>& name() const noexcept { return name_; }
  [[nodiscard]] Ring& ring() noexcept { return ring_; }
  [[nodiscard]] Segmenter& segmenter() noexcept { return segmenter_; }
  /** RTP timestamp of what departs at `at`, on the recovered clock; none before the first media. */
  [[nodiscard]] std::optional<std::uint32_t> timestamp_at(Nanos at) const noexcept;
  [[nodiscard]] std::uint32_t ssrc() const noexcept { return options_.ssrc; }
  [[nodiscard]] StreamCounters& counters() noexcept { return counters_; }
  /** Byte readers may read up to here; it moves in pieces, so that sending is worth a system call. */
  [[nodiscard]] std::uint64_t edge() const noexcept { return edge_; }
  /** `lag` of media before the edge; a continuous viewer behind it is too slow. 0 while the ring holds less.
   */
  [[nodiscard]] std::uint64_t edge_before(Nanos lag) const noexcept;
  /** Bytes a second of what departed within the last `window` of media, as far as the ring goes back; 0 while
   * that is less than a tenth of a second. */
  [[nodiscard]] std::uint64_t recent_rate(Nanos window) const noexcept;
  /** The newest access point before the edge; null while there is none. */
  [[nodiscard]] const AccessPoint* newest_access_point() const noexcept;
  /**
   * The newest access point that departed at least `lag` of media ago and whose tables are still in the ring;
   * null while there is none. Two are kept at most.
   */
  [[nodiscard]] const AccessPoint* access_point_before(Nanos lag) const noexcept;
  /** Once a second: rates and gauges. */
  void housekeeping(Nanos now) noexcept;

 private:
  Stream(kernel::Reactor& reactor, const StreamOptions& options, Ring ring, StreamCounters& counters,
         LoopCounters& loop, StreamObserver& observer);
  void on_access_point(const AccessPoint& point) noexcept override;
  void on_published(bool tail) noexcept override;
  std::int64_t timeline_origin() noexcept override;
  void on_fault(const char* code, std::string detail) override;
  void on_timer(Nanos now) noexcept override;
  void resolve_points() noexcept;
  void take_point(const AccessPoint& point, const Descriptor& packet) noexcept;
  [[nodiscard]] std::int64_t sequence_before(Nanos lag) const noexcept;
  [[nodiscard]] std::uint64_t find_before(Nanos lag) const noexcept;
  void release(Nanos now) noexcept;
  void on_patience_changed() noexcept;
  [[nodiscard]] Nanos edge_pause() const noexcept;
  void move_edge(Nanos now) noexcept;
  void tell_readers() noexcept;
  void schedule(Nanos now) noexcept;
  void wake_at(Nanos at) noexcept;
  void tell_rates(Nanos now) noexcept;

  struct Room {
    const void* owner;
    std::function<void()> listener;
  };

  kernel::Reactor& reactor_;
  const StreamOptions options_;
  const std::shared_ptr<const std::string> name_;
  StreamCounters& counters_;
  LoopCounters& loop_;
  StreamObserver& observer_;
  Ring ring_;
  Packetiser packetiser_;
  Segmenter segmenter_;
  MediaClock clock_;
  Departures departures_;
  std::vector<PacketReader*> packet_readers_;
  std::vector<ByteReader*> byte_readers_;
  std::vector<ByteReader*> held_readers_;
  std::size_t gone_readers_ = 0;
  bool telling_readers_ = false;
  std::vector<Room> room_;
  bool starved_ = true;
  /** What the timer was last armed for. */
  Nanos due_ = 0;
  Nanos last_input_ = 0;
  mutable bool refused_ = false;
  bool ready_told_ = false;
  /** After a fault only a point behind it makes the stream ready again. */
  std::uint64_t ready_after_ = 0;
  std::deque<AccessPoint> unresolved_;
  std::int64_t resolved_sequence_;
  std::deque<AccessPoint> points_;
  std::int64_t last_point_time_ = -1;
  std::uint64_t edge_ = 0;
  Nanos edge_time_ = 0;
  // The last answer of edge_before().
  mutable Nanos lag_asked_ = -1;
  mutable std::uint64_t lag_edge_ = 0;
  mutable std::uint64_t lag_position_ = 0;
  std::uint64_t rate_bytes_ = 0;
  Nanos rate_time_ = 0;
};

}  // namespace sluice::plane
