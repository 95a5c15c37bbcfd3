// The ports, flows and receivers of one loop, behind verbs.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "plane/flow.h"

namespace sluice::plane {

/** A flow and where its packets come from: a port, or a stream. */
struct AddFlow {
  FlowOptions flow;
  Handle port = 0;
  FlowMatch match;
  /** Null for a port. */
  Stream* stream = nullptr;
  /** None: RTCP is passed over. */
  std::optional<FlowRtcpOptions> rtcp;
  /** Where it comes in, 0 for the port of the packets. */
  Handle rtcp_port = 0;
};

struct GateChange {
  Handle receiver = 0;
  bool open = false;
  /** 0 leaves it where it is. */
  Handle flow = 0;
  Nanos past = 0;
};

/** One receiver as it stands. */
struct FlowReceiverRow {
  Handle receiver = 0;
  Handle flow = 0;
  bool open = false;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t errors = 0;
  std::uint64_t switches = 0;
  std::int64_t sequence = -1;
  /** Its last report, and how long ago it came. */
  std::optional<ReceiverReportView> report;
  Nanos report_age = 0;
};

/**
 * All members on the loop; handles are the caller's, and never used again. A stream is gone after the flows
 * whose input it is.
 */
class Flows {
 public:
  /** The arguments outlive it. */
  Flows(kernel::Reactor& reactor, MemoryBudget& budget) : bench_(reactor, budget) {}
  Flows(const Flows&) = delete;
  Flows& operator=(const Flows&) = delete;
  ~Flows();

  /** The port bound. Errors as of Port::open(). */
  kernel::Result<std::uint16_t> add_port(Handle handle, const PortOptions& options, PortCounters& counters);
  /** FLOWS_ATTACHED while a flow or a receiver uses it. */
  std::optional<kernel::Error> remove_port(Handle handle);
  /** MATCH_TAKEN, HANDLE_UNKNOWN, MEMORY_BUDGET. */
  std::optional<kernel::Error> add_flow(Handle handle, const AddFlow& options, FlowCounters& counters);
  /** With its receivers, whose handles it gives. */
  std::vector<Handle> remove_flow(Handle handle);
  /** All or none: ADDRESS_INVALID, HANDLE_UNKNOWN, MEMORY_BUDGET. `first` is the first of their handles. */
  std::optional<kernel::Error> add_receivers(Handle flow, std::span<const FlowReceiverOptions> options,
                                             Handle first);
  /** Those that are unknown are passed over. */
  void remove_receivers(std::span<const Handle> receivers);
  /** All between two packets, or none: HANDLE_UNKNOWN, ADDRESS_INVALID, MEMORY_BUDGET. */
  std::optional<kernel::Error> set_gates(std::span<const GateChange> changes);
  /** Receivers of a flow, in no order that lasts. */
  [[nodiscard]] std::vector<FlowReceiverRow> receivers(Handle flow, std::size_t offset,
                                                       std::size_t limit) const;
  void housekeeping(Nanos now) noexcept;

 private:
  struct Entry {
    std::unique_ptr<Flow> flow;
    Port* port = nullptr;
    FlowMatch match;
    Stream* stream = nullptr;
    Port* control = nullptr;
    void detach() noexcept;
  };
  [[nodiscard]] Flow* find_flow(Handle handle) const noexcept;
  [[nodiscard]] std::optional<kernel::Error> check(const FlowReceiverOptions& options) const;

  FlowBench bench_;
  std::unordered_map<Handle, std::unique_ptr<Port>> ports_;
  std::unordered_map<Handle, Entry> flows_;
};

}  // namespace sluice::plane
