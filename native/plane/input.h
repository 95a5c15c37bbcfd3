// What brings a stream's MPEG-TS in by UDP.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "codec/numbering.h"
#include "http/client.h"
#include "kernel/udp_rx.h"
#include "plane/input_counters.h"
#include "plane/ts_sink.h"
#include "repair/recovery.h"

namespace sluice::plane {

using kernel::Nanos;

/** Sees every datagram of an input before anything is made of it. */
class DatagramTap {
 public:
  virtual void on_datagram(const kernel::Datagram& datagram) noexcept = 0;
  /** All that were there have been seen. */
  virtual void on_pause() noexcept = 0;

 protected:
  ~DatagramTap() = default;
};

/** With what an RTP input is made whole. */
struct RepairOptions {
  /** ST 2022-1 on the ports above that of the media: of columns, and of rows. */
  bool columns = false;
  bool rows = false;
  /** Where NACKs go (RFC 4585), and retransmissions come from. */
  std::optional<kernel::Address> feedback;
  /** Whether a token is to be got there first, and shown with every NACK (RFC 6284). */
  bool tokens = false;
  /** Whether a group is entered by a burst from there (RFC 6285), and joined when that has caught up. */
  bool acquisition = false;
  /** From where the rest is fetched by HTTP, in ranges of sequence numbers: address, TLS, and the head of a
   * request without the range. */
  std::optional<http::ClientRequest> range;
  repair::RecoveryOptions recovery;
};

struct UdpInputOptions {
  kernel::UdpRxOptions socket;
  /** How long a gap in RTP sequence numbers is waited for, 0 to 2 s. Of no meaning with `repair`. */
  Nanos reorder = 50 * kernel::kMillisecond;
  /** Where packets have their numbers. */
  codec::Numbering numbering = codec::Numbering::rtp;
  std::optional<RepairOptions> repair = {};
};

/** Gives datagrams that are numbered in another way the form of plain RTP. */
class PlainRtp {
 public:
  explicit PlainRtp(codec::Numbering numbering)
      : numbering_(numbering), room_(numbering == codec::Numbering::rtp ? 0 : kMost) {}
  [[nodiscard]] bool idle() const noexcept { return numbering_ == codec::Numbering::rtp; }
  /** Whether RTCP may come between them, told by its first bytes. */
  [[nodiscard]] bool is_rtp() const noexcept { return numbering_ != codec::Numbering::field; }
  /** Valid until the next call; none for what is not numbered so. */
  std::optional<codec::Bytes> operator()(const kernel::Datagram& datagram) noexcept {
    if (idle()) return datagram.data;
    std::optional<std::uint32_t> option;
    if (numbering_ == codec::Numbering::option && datagram.headers != nullptr)
      option =
          codec::option_number(datagram.sender->ss_family == AF_INET6,
                               codec::Bytes(datagram.headers->options).first(datagram.headers->options_size));
    return codec::as_rtp(datagram.data, numbering_, option, room_);
  }

 private:
  static constexpr std::size_t kMost = 65536;
  codec::Numbering numbering_;
  std::vector<std::uint8_t> room_;
};

/** On the loop thread. Closes its sockets, and with them the joins, when destroyed; what it holds is dropped
 * then. */
class Input {
 public:
  /** One that repairs, or one that does not, as the options want it. Errors as of kernel::UdpRx::open().
   * `sink`, `counters` and `tap` outlive the input. */
  static kernel::Result<std::unique_ptr<Input>> open(kernel::Reactor& reactor, const UdpInputOptions& options,
                                                     TsSink& sink, InputCounters& counters,
                                                     DatagramTap* tap = nullptr);
  Input() = default;
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;
  virtual ~Input() = default;
  /** The port bound, of the media. */
  [[nodiscard]] virtual std::uint16_t port() const noexcept = 0;
  /** Delivers what is held without waiting any longer. */
  virtual void flush() noexcept = 0;
};

}  // namespace sluice::plane
