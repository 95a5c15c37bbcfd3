// PIM of a multicast router: its socket, and the machine between it and the router.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>

#include "codec/checksum.h"
#include "kernel/control_socket.h"
#include "kernel/reactor.h"
#include "membership/pim.h"
#include "membership/proxy.h"
#include "membership/token_bucket.h"

namespace sluice::plane {

struct RouterPimCounters {
  std::uint64_t received = 0;
  std::uint64_t malformed = 0;
  std::uint64_t bad_checksum = 0;
  /** Of another version, or of a type that is not taken. */
  std::uint64_t other = 0;
  /** Rightly made, but sent to an address, or from one, that such a message is not sent to or from. */
  std::uint64_t wrong_address = 0;
  std::uint64_t send_errors = 0;
  /** Packets sent to an RP in registers, and those beyond kMostRegisters. */
  std::uint64_t registers_sent = 0;
  std::uint64_t registers_dropped = 0;
};

/** Packets a second that are sent in registers: until an RP that wants a source has joined it, and not in its
 * place. */
inline constexpr unsigned kMostRegisters = 5'000;

/** Where a PIM interface is. */
struct PimPlace {
  unsigned index = 0;
  /** Bytes of an IP packet. */
  std::uint32_t mtu = 0;
};

/** What PIM asks of the router, and tells it; outlives it. */
class RouterPimOwner {
 public:
  [[nodiscard]] virtual std::optional<membership::Rpf> rpf(const codec::IpAddress& address) noexcept = 0;
  /** As PimHost::changed(). */
  virtual void route_changed(const codec::IpAddress& source, const codec::IpAddress& group) noexcept = 0;
  /** kNoInterface for a device that is none of the router's. */
  [[nodiscard]] virtual membership::Interface interface_of(unsigned index) const noexcept = 0;
  [[nodiscard]] virtual PimPlace place_of(membership::Interface interface) const noexcept = 0;
  /** Whether a router of this address can be a neighbour there. */
  [[nodiscard]] virtual bool is_on_link(membership::Interface interface,
                                        const codec::IpAddress& address) const noexcept = 0;
  /** What hosts of the interface want of the group is to be told anew. */
  virtual void members_untold(membership::Interface interface, const codec::IpAddress& group) noexcept = 0;
  /** What came has been told: whatever follows from it is to be done now. */
  virtual void settle(kernel::Nanos now) noexcept = 0;

 protected:
  ~RouterPimOwner() = default;
};

class RouterPim final : private kernel::Watcher, private membership::PimHost {
 public:
  /** ROUTING_REFUSED, SYSTEM_CALL. All that is referred to outlives it. */
  static kernel::Result<std::unique_ptr<RouterPim>> open(kernel::Reactor& reactor,
                                                         const membership::PimOptions& options,
                                                         RouterPimOwner& owner,
                                                         membership::Deadlines& deadlines,
                                                         std::uint64_t seed);
  RouterPim(const RouterPim&) = delete;
  RouterPim& operator=(const RouterPim&) = delete;
  ~RouterPim();

  /** `addresses` as of Pim::interface_up(). Errors as of ControlSocket::join(). */
  std::optional<kernel::Error> up(membership::Interface interface, unsigned index,
                                  std::vector<codec::IpAddress> addresses,
                                  const membership::PimLinkOptions& options, kernel::Nanos now);
  void down(membership::Interface interface, unsigned index, kernel::Nanos now);

  /** What hosts of an interface want of a group now. */
  void members(membership::Interface interface, const codec::IpAddress& group,
               membership::WantedSources wanted, kernel::Nanos now);
  /** A packet on its way to the RP in a register. */
  void send_register(const codec::IpAddress& rp, codec::Bytes packet) noexcept;

  [[nodiscard]] membership::Pim& machine() noexcept { return pim_; }
  [[nodiscard]] const membership::Pim& machine() const noexcept { return pim_; }
  [[nodiscard]] const RouterPimCounters& counters() const noexcept { return counters_; }

 private:
  RouterPim(kernel::Reactor& reactor, std::unique_ptr<kernel::ControlSocket> socket,
            const membership::PimOptions& options, RouterPimOwner& owner, membership::Deadlines& deadlines,
            std::uint64_t seed);

  void on_ready(std::uint32_t events) noexcept override;
  void tell_again(kernel::Nanos now) noexcept;
  void take(const kernel::ControlMessage& message, kernel::Nanos now) noexcept;
  void take_body(membership::Interface interface, const codec::IpEnds& ends,
                 const codec::pim::Message& message, kernel::Nanos now) noexcept;

  // PimHost
  void send_hello(membership::Interface interface, const codec::IpAddress& from,
                  const codec::pim::Hello& hello) noexcept override;
  void send_join_prune(membership::Interface interface,
                       const codec::pim::JoinPrune& message) noexcept override;
  void send_assert(membership::Interface interface, const codec::pim::Assert& assertion) noexcept override;
  void send_null_register(const codec::IpAddress& rp, const codec::IpAddress& source,
                          const codec::IpAddress& group) noexcept override;
  void send_register_stop(const codec::IpAddress& from, const codec::IpAddress& to,
                          const codec::pim::RegisterStop& stop) noexcept override;
  void send_bootstrap(membership::Interface interface,
                      const codec::pim::Bootstrap& message) noexcept override;
  void send_candidate_rp(const codec::IpAddress& to,
                         const codec::pim::CandidateRp& candidate) noexcept override;
  std::optional<membership::Rpf> rpf(const codec::IpAddress& address) noexcept override;
  void changed(const codec::IpAddress& source, const codec::IpAddress& group) noexcept override;

  [[nodiscard]] codec::IpEnds to_routers(membership::Interface interface) const noexcept;
  /** Our address towards `to`, of which a register or a candidate RP's message is from; none without a way.
   */
  [[nodiscard]] std::optional<codec::IpEnds> towards(const codec::IpAddress& to) noexcept;
  [[nodiscard]] codec::MutableBytes room_of(membership::Interface interface) noexcept;
  void send(unsigned index, const codec::IpEnds& ends, std::uint8_t hops, codec::Bytes payload) noexcept;
  void send_to_routers(membership::Interface interface, const codec::IpEnds& ends,
                       codec::Bytes payload) noexcept;

  kernel::Reactor& reactor_;
  std::unique_ptr<kernel::ControlSocket> socket_;
  RouterPimOwner& owner_;
  const bool v4_;
  RouterPimCounters counters_;
  /** By interface and group, what the machine has been told last. */
  std::array<std::map<codec::IpAddress, membership::WantedSources>, membership::kInterfaces> told_;
  /** Of which the machine had no room for all; told again by and by. */
  std::set<std::pair<codec::IpAddress, membership::Interface>> refused_;
  membership::Deadlines& deadlines_;
  membership::Timer<&RouterPim::tell_again> again_{*this};
  membership::TokenBucket registers_{kMostRegisters, 0};
  std::array<std::uint8_t, 65536> room_;
  membership::Pim pim_;
};

}  // namespace sluice::plane
