#include "plane/flows.h"

#include <algorithm>

namespace sluice::plane {

using kernel::Error;
using kernel::Result;

namespace {

Error unknown(Handle handle) {
  return {"HANDLE_UNKNOWN", "there is nothing with the handle " + std::to_string(handle)};
}

Error taken(const std::string& name, const std::string& what, const Port& port) {
  return {"MATCH_TAKEN", "another flow takes exactly the " + what + " that `" + name + "` asks for on port " +
                             std::to_string(port.number())};
}

/** RTCP of what matches: it has another port than the packets. */
FlowMatch control_match(FlowMatch match) {
  match.remote_port = 0;
  return match;
}

}  // namespace

void Flows::Entry::detach() noexcept {
  if (port != nullptr) port->remove(match);
  if (control != nullptr) control->remove(control_match(match));
  if (stream != nullptr) stream->detach(*flow);
  port = nullptr;
  control = nullptr;
  stream = nullptr;
}

Flows::~Flows() {
  for (auto& [handle, entry] : flows_) entry.detach();
  flows_.clear();
}

Flow* Flows::find_flow(Handle handle) const noexcept {
  const auto at = flows_.find(handle);
  return at != flows_.end() ? at->second.flow.get() : nullptr;
}

Result<std::uint16_t> Flows::add_port(Handle handle, const PortOptions& options, PortCounters& counters) {
  auto port = Port::open(bench_.reactor, bench_.ports, options, counters);
  if (!port.ok()) return port.error();
  const std::uint16_t number = port.value()->number();
  ports_.emplace(handle, std::move(port.value()));
  return number;
}

std::optional<Error> Flows::remove_port(Handle handle) {
  const auto at = ports_.find(handle);
  if (at == ports_.end()) return unknown(handle);
  if (at->second->users() > 0) {
    return Error{"FLOWS_ATTACHED", "port " + std::to_string(at->second->number()) + " is used by " +
                                       std::to_string(at->second->users()) + " flows and receivers"};
  }
  ports_.erase(at);
  return std::nullopt;
}

std::optional<Error> Flows::add_flow(Handle handle, const AddFlow& options, FlowCounters& counters) {
  const auto port = ports_.find(options.port);
  if (options.stream == nullptr && port == ports_.end()) return unknown(options.port);
  const auto control = ports_.find(options.rtcp_port);
  if (options.rtcp_port != 0 && control == ports_.end()) return unknown(options.rtcp_port);
  auto flow = Flow::create(bench_, options.flow, counters);
  if (!flow.ok()) return flow.error();
  Entry entry{std::move(flow.value()), nullptr, options.match, nullptr, nullptr};
  if (options.rtcp) {
    const FlowRtcpPlace place{options.stream == nullptr ? port->second.get() : nullptr,
                              control != ports_.end() ? control->second.get() : nullptr, options.stream};
    entry.flow->set_rtcp(std::make_unique<FlowRtcp>(bench_, *entry.flow, place, *options.rtcp, counters));
    if (place.control != nullptr) {
      if (!place.control->add(control_match(options.match), *entry.flow->rtcp()))
        return taken(options.flow.name, "RTCP", *place.control);
      entry.control = place.control;
    }
  }
  if (options.stream != nullptr) {
    options.stream->attach(*entry.flow);
    entry.stream = options.stream;
  } else {
    if (!port->second->add(options.match, *entry.flow)) {
      entry.detach();
      return taken(options.flow.name, "packets", *port->second);
    }
    entry.port = port->second.get();
  }
  flows_.emplace(handle, std::move(entry));
  return std::nullopt;
}

std::vector<Handle> Flows::remove_flow(Handle handle) {
  std::vector<Handle> receivers;
  const auto at = flows_.find(handle);
  if (at == flows_.end()) return receivers;
  for (const FlowReceiver& receiver : at->second.flow->receivers()) receivers.push_back(receiver.handle());
  at->second.detach();
  flows_.erase(at);
  return receivers;
}

std::optional<Error> Flows::check(const FlowReceiverOptions& o) const {
  const auto port = ports_.find(o.port);
  if (port == ports_.end()) return unknown(o.port);
  const int family = port->second->family();
  if (o.destination.family() == family && (!o.source || o.source->family() == family)) return std::nullopt;
  return Error{"ADDRESS_INVALID", "the receiver " + o.destination.text() +
                                      " and the port that it is sent from are of different address families"};
}

std::optional<Error> Flows::add_receivers(Handle handle, std::span<const FlowReceiverOptions> options,
                                          Handle first) {
  Flow* const flow = find_flow(handle);
  if (flow == nullptr) return unknown(handle);
  for (const FlowReceiverOptions& o : options)
    if (auto error = check(o)) return error;
  if (auto error = flow->prepare(options.size())) return error;
  for (const FlowReceiverOptions& o : options) {
    Port& port = *ports_.at(o.port);
    port.hold();
    flow->put(FlowReceiver(first++, port, o));
  }
  return std::nullopt;
}

void Flows::remove_receivers(std::span<const Handle> receivers) {
  for (const Handle handle : receivers) {
    const auto at = bench_.receivers.find(handle);
    if (at == bench_.receivers.end()) continue;
    const FlowBench::Place place = at->second;
    place.flow->take_out(place.index).port().let_go();
    bench_.directory.remove(handle);
  }
}

std::optional<Error> Flows::set_gates(std::span<const GateChange> changes) {
  std::unordered_map<Flow*, std::size_t> more;
  for (const GateChange& change : changes) {
    const auto at = bench_.receivers.find(change.receiver);
    if (at == bench_.receivers.end()) return unknown(change.receiver);
    Flow* const flow = change.flow != 0 ? find_flow(change.flow) : at->second.flow;
    if (flow == nullptr) return unknown(change.flow);
    if (flow != at->second.flow) more[flow]++;
  }
  for (const auto& [flow, count] : more)
    if (auto error = flow->prepare(count)) return error;
  for (const GateChange& change : changes) {
    const FlowBench::Place place = bench_.receivers.at(change.receiver);
    Flow& flow = change.flow != 0 ? *find_flow(change.flow) : *place.flow;
    const bool was = place.flow->receivers()[place.index].open();
    if (!change.open) place.flow->close(place.index);
    if (&flow == place.flow && (!change.open || was)) continue;
    FlowReceiver receiver = place.flow->take_out(place.index);
    if (change.open)
      flow.open(receiver, bench_.reactor.now() - change.past);
    else
      flow.put(receiver);
  }
  return std::nullopt;
}

std::vector<FlowReceiverRow> Flows::receivers(Handle handle, std::size_t offset, std::size_t limit) const {
  std::vector<FlowReceiverRow> rows;
  const Flow* const flow = find_flow(handle);
  if (flow == nullptr) return rows;
  const auto& all = flow->receivers();
  for (std::size_t i = offset; i < all.size() && rows.size() < limit; i++) {
    const FlowReceiver& r = all[i];
    FlowReceiverRow& row = rows.emplace_back();
    row = {r.handle(), handle,       r.open(),     r.packets(), r.bytes(),
           r.errors(), r.switches(), r.sequence(), {},          0};
    const ReceiverRtcp* const rtcp = bench_.directory.find(r.handle());
    if (rtcp == nullptr || rtcp->reported_at < 0) continue;
    row.report = rtcp->view;
    row.report_age = bench_.reactor.now() - rtcp->reported_at;
  }
  return rows;
}

void Flows::housekeeping(Nanos now) noexcept {
  for (auto& [handle, entry] : flows_) entry.flow->housekeeping(now);
}

}  // namespace sluice::plane
