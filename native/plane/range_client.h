// Fetches packets of a stream by HTTP: ranges of RTP sequence numbers (see plane/range_repair.h).
#pragma once

#include "codec/framing.h"
#include "http/client.h"

namespace sluice::plane {

/** Told of what is fetched. From within any call the next fetch may begin, but the client not be destroyed
 * (see kernel::Reactor::dispose). */
class RangeOutput {
 public:
  /** A packet of the answer, as the server says: RTP header and payload, neither looked at. There until this
   * returns. */
  virtual void on_fetched(codec::Bytes datagram) noexcept = 0;
  /** The fetch is over. `answered`: all has come that the server had. */
  virtual void on_fetch_end(bool answered) noexcept = 0;

 protected:
  ~RangeOutput() = default;
};

/**
 * One fetch at a time over one kept connection. However much an answer says, no more packets than were asked
 * for are taken of it, none longer than allowed, and none after its time: the connection is closed then. On
 * the loop.
 */
class RangeClient final : private http::ClientHandler, private kernel::Timer {
 public:
  /** `server`: address, TLS and the head of a request without the range. Datagrams are of at most `most`
   * bytes. `reactor` and `output` outlive it. */
  RangeClient(kernel::Reactor& reactor, http::ClientRequest server, std::size_t most, RangeOutput& output);
  RangeClient(const RangeClient&) = delete;
  RangeClient& operator=(const RangeClient&) = delete;
  /** A running fetch ends without on_fetch_end. */
  ~RangeClient() = default;

  /** Extended sequence numbers, ascending, at least one; false while a fetch is under way. It fails after
   * `patience`. RangeOutput is told from a later turn of the reactor. */
  bool fetch(std::span<const std::int64_t> sequences, kernel::Nanos patience);

 private:
  void on_head(const http::ResponseHead& head) noexcept override;
  void on_body(codec::Bytes bytes) noexcept override;
  void on_end(const http::ClientOutcome& outcome) noexcept override;
  void on_timer(kernel::Nanos now) noexcept override;
  void begin();
  void give_up() noexcept;
  void end(bool answered) noexcept;

  kernel::Reactor& reactor_;
  const http::ClientRequest server_;
  RangeOutput& output_;
  const std::size_t most_;
  codec::FrameReader frames_;
  http::UpstreamCounters counters_;
  http::Client client_;
  http::ClientRequest request_;
  bool busy_ = false;
  bool again_ = false;
  /** Of the answer: its status, and the packets that it may still have. */
  unsigned status_ = 0;
  std::size_t wanted_ = 0;
};

}  // namespace sluice::plane
