// What has a handle, as it stands on its loop.
#pragma once

#include <memory>

#include "http/server.h"
#include "plane/capture_replay.h"
#include "plane/event.h"
#include "plane/input.h"
#include "plane/packet_capture.h"
#include "plane/receiver.h"
#include "plane/sender.h"
#include "plane/stream.h"
#include "plane/upstream.h"

namespace sluice::plane {

/** Something with a handle. Destroyed on its loop's thread. */
struct Entry {
  enum class Kind : std::uint8_t {
    stream,
    upstream,
    input,
    sender,
    receiver,
    listener,
    site,
    capture,
    replay,
    // These two are held by Flows.
    port,
    flow
  };
  explicit Entry(Kind k) noexcept : kind(k) {}
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;
  virtual ~Entry() = default;
  const Kind kind;
};

/** One that is there for what it holds. */
template <class T, Entry::Kind K>
struct Holding final : Entry {
  static constexpr Kind kKind = K;
  explicit Holding(std::unique_ptr<T> i) noexcept : Entry(K), it(std::move(i)) {}
  std::unique_ptr<T> it;
};
using InputEntry = Holding<Input, Entry::Kind::input>;
using SenderEntry = Holding<Sender, Entry::Kind::sender>;
using ReceiverEntry = Holding<Receiver, Entry::Kind::receiver>;
using ListenerEntry = Holding<http::Server, Entry::Kind::listener>;
using CaptureEntry = Holding<PacketCapture, Entry::Kind::capture>;
using ReplayEntry = Holding<CaptureReplay, Entry::Kind::replay>;

struct StreamEntry final : Entry, StreamObserver {
  static constexpr Kind kKind = Kind::stream;
  /** The handler and the counters outlive it. */
  StreamEntry(const EventHandler& handler, Handle h, StreamCounters& c) noexcept
      : Entry(kKind), tell(handler), handle(h), counters(c) {}
  void on_stream_ready() noexcept override { tell({Event::Type::stream_ready, handle, nullptr, {}, {}, {}}); }
  void on_source_fault(const char* code, std::string detail) override {
    tell({Event::Type::source_fault, handle, code, std::move(detail), {}, {}});
  }
  const EventHandler& tell;
  const Handle handle;
  StreamCounters& counters;
  std::unique_ptr<Stream> stream;
};

struct UpstreamEntry final : Entry, UpstreamObserver {
  static constexpr Kind kKind = Kind::upstream;
  /** The handler outlives it. */
  UpstreamEntry(const EventHandler& handler, Handle h) noexcept : Entry(kKind), tell(handler), handle(h) {}
  void on_upstream_head(std::uint64_t, unsigned status) override {
    Event e{Event::Type::upstream_head, handle, nullptr, {}, {}, {}};
    e.result.status = status;
    tell(std::move(e));
  }
  void on_upstream_end(UpstreamResult result) override {
    tell({Event::Type::upstream_end, handle, nullptr, {}, std::move(result), {}});
  }
  const EventHandler& tell;
  const Handle handle;
  std::unique_ptr<Upstream> upstream;
};

}  // namespace sluice::plane
