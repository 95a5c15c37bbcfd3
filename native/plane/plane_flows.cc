// Verbs of the plane for ports, flows and their receivers.
#include "plane/plane.h"

namespace sluice::plane {

using kernel::Error;
using kernel::Result;

namespace {

Error differs(const std::string& what) {
  return {"LOOP_DIFFERS", what + " lives on another loop"};
}

}  // namespace

Result<Added> Plane::add_port(const PortOptions& options, std::optional<std::uint32_t> loop,
                              std::uint16_t& number) {
  auto worker = place(loop);
  if (!worker.ok()) return worker.error();
  return add_to_flows(*worker.value(), Entry::Kind::port, 0,
                      [&](Flows& flows, Handle handle, std::uint32_t slot) -> std::optional<Error> {
                        auto opened = flows.add_port(handle, options, counters_.as<PortCounters>(slot));
                        if (!opened.ok()) return std::move(opened.error());
                        number = opened.value();
                        return std::nullopt;
                      });
}

std::optional<Error> Plane::remove_port(Handle port) {
  const Place* const at = find(port, Entry::Kind::port);
  if (at == nullptr) return unknown(port);
  auto refused = at->worker->call([&] { return at->worker->flows().remove_port(port); });
  if (!refused) forget(port);
  return refused;
}

Result<Added> Plane::add_flow(Handle input, AddFlow flow) {
  const auto at = places_.find(input);
  if (at == places_.end()) return unknown(input);
  const bool stream = at->second.kind == Entry::Kind::stream;
  if (!stream && at->second.kind != Entry::Kind::port) return unknown(input);
  Worker& worker = *at->second.worker;
  if (flow.rtcp_port != 0) {
    const Place* const control = find(flow.rtcp_port, Entry::Kind::port);
    if (control == nullptr) return unknown(flow.rtcp_port);
    if (control->worker != &worker) return differs("the port of its RTCP");
  }
  auto added = add_to_flows(worker, Entry::Kind::flow, stream ? input : 0,
                            [&](Flows& flows, Handle handle, std::uint32_t slot) {
                              flow.port = input;
                              if (stream) flow.stream = worker.find<StreamEntry>(input)->stream.get();
                              return flows.add_flow(handle, flow, counters_.as<FlowCounters>(slot));
                            });
  if (added.ok()) worker.placed();
  return added;
}

/** `make(flows, handle, slot)`, on the worker's loop, tells why it could not be made. */
template <class Make>
Result<Added> Plane::add_to_flows(Worker& worker, Entry::Kind kind, Handle owner, Make&& make) {
  if (!open_) return unknown(owner);
  const auto slot = counters_.take();
  if (!slot) return table_full();
  const Handle handle = next_handle_++;
  auto failure = worker.call([&] { return make(worker.flows(), handle, *slot); });
  if (failure) {
    counters_.give_back(*slot);
    return std::move(*failure);
  }
  places_.emplace(handle, Place{&worker, kind, *slot, owner});
  return Added{handle, *slot, worker.index()};
}

Result<Handle> Plane::add_flow_receivers(Handle flow, std::span<const FlowReceiverOptions> options) {
  const Place* const at = find(flow, Entry::Kind::flow);
  if (at == nullptr) return unknown(flow);
  for (const FlowReceiverOptions& o : options) {
    const Place* const port = find(o.port, Entry::Kind::port);
    if (port == nullptr) return unknown(o.port);
    if (port->worker != at->worker) return differs("the port that " + o.destination.text() + " is sent from");
  }
  const Handle first = next_handle_;
  Worker& worker = *at->worker;
  if (auto refused = worker.call([&] { return worker.flows().add_receivers(flow, options, first); }))
    return std::move(*refused);
  next_handle_ += options.size();
  for (Handle handle = first; handle < next_handle_; handle++) receivers_.emplace(handle, &worker);
  return first;
}

void Plane::remove_flow_receivers(std::span<const Handle> receivers) {
  for (const auto& worker : workers_) {
    std::vector<Handle> its;
    for (const Handle handle : receivers) {
      const auto at = receivers_.find(handle);
      if (at != receivers_.end() && at->second == worker.get()) its.push_back(handle);
    }
    if (its.empty()) continue;
    worker->call([&] { worker->flows().remove_receivers(its); });
    for (const Handle handle : its) receivers_.erase(handle);
  }
}

std::optional<Error> Plane::set_gates(std::span<const GateChange> changes) {
  Worker* worker = nullptr;
  for (const GateChange& change : changes) {
    const auto at = receivers_.find(change.receiver);
    if (at == receivers_.end()) return unknown(change.receiver);
    const Place* const flow = change.flow != 0 ? find(change.flow, Entry::Kind::flow) : nullptr;
    if (change.flow != 0 && flow == nullptr) return unknown(change.flow);
    if (worker != nullptr && at->second != worker) return differs("one of the receivers");
    worker = at->second;
    if (flow != nullptr && flow->worker != worker) return differs("the flow that a gate is to change to");
  }
  if (worker == nullptr) return std::nullopt;
  return worker->call([&] { return worker->flows().set_gates(changes); });
}

std::vector<FlowReceiverRow> Plane::flow_receivers(Handle flow, std::size_t offset, std::size_t limit) {
  const Place* const at = find(flow, Entry::Kind::flow);
  if (at == nullptr) return {};
  return at->worker->call([&] { return at->worker->flows().receivers(flow, offset, limit); });
}

}  // namespace sluice::plane
