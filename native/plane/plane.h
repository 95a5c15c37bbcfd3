// The plane: its loops, streams and everything attached to them, behind a few verbs.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "plane/fetchers.h"
#include "plane/memory_budget.h"
#include "plane/ways.h"
#include "plane/worker.h"

namespace sluice::plane {

/** What the plane may use, and what it is called. */
struct PlaneOptions {
  /** Bytes of all rings together. */
  std::size_t memory = 0;
  objects::StoreOptions objects;
  /** Received-by part of Via (RFC 9110 section 7.6.3), with the version: `1.1 NAME`. */
  std::string via = "1.1 sluice";
  /** Threads that work: 1 to kMostLoops. */
  std::uint32_t loops = 1;
  /** The CPU of each loop, or none for all that this program may use. */
  std::vector<unsigned> cpus = {};
};

constexpr std::uint32_t kMostLoops = 64;

/** An object that TypeScript has made. */
struct MadeObject {
  http::ResponseHead head;
  std::string body;
  http::FreshnessRule freshness;
};

/** A handle and the slot of its counters in the shared table. */
struct Added {
  Handle handle = 0;
  std::uint32_t slot = 0;
  /** On which loop it lives. */
  std::uint32_t loop = 0;
};

/** What a listener has opened. */
struct Listening {
  std::uint16_t port = 0;
  /** The listening socket; it stays the plane's. */
  int socket = -1;
  /** The slots of its counters, one for each loop; their sum is the listener's. */
  std::vector<std::uint32_t> slots = {};
};

[[nodiscard]] inline kernel::Error unknown(Handle handle) {
  return {"HANDLE_UNKNOWN", "there is nothing with the handle " + std::to_string(handle)};
}

struct SenderOptions {
  kernel::UdpTxOptions socket;
  /** For its RTCP; empty for none. */
  std::string cname;
  Batching batching = Batching::automatic;
  codec::Numbering numbering = codec::Numbering::rtp;
  ParitySenderOptions parity;
  std::optional<RetransmissionOptions> retransmission;
};

/**
 * All verbs are for one thread, which is no loop's; they wait for a loop where needed. Handles are never used
 * again. A stream lives on the loop on which it was placed, and so does what is attached to it; everything
 * else on the first. Removing a stream removes what is attached to it. After close() every verb answers
 * HANDLE_UNKNOWN.
 */
class Plane {
 public:
  Plane(PlaneOptions options, EventHandler on_event);
  Plane(const Plane&) = delete;
  Plane& operator=(const Plane&) = delete;
  ~Plane();

  /** CPU_UNKNOWN, or SYSTEM_CALL where there is no thread, or no room for objects. */
  [[nodiscard]] std::optional<kernel::Error> start();
  void close();

  /** LOOP_UNKNOWN, MEMORY_BUDGET, SYSTEM_CALL. */
  kernel::Result<Added> add_stream(const StreamOptions& options);
  bool splice_stream(Handle stream);
  /**
   * Whom requests over TLS trust from now on: the authorities of a PEM text.
   * @returns TLS_CERTIFICATE when they cannot be read
   */
  kernel::Result<bool> trust(const std::string& authorities);
  kernel::Result<Added> open_upstream(Handle stream, const http::ClientTimeouts& timeouts);
  /** What requests over TLS are made with, `insecure` ones taking any certificate; null before trust(). */
  [[nodiscard]] const std::shared_ptr<secure::ClientContext>& tls(bool insecure) const noexcept {
    return insecure ? insecure_ : trusting_;
  }
  /** False when the handle is unknown or a request is running. */
  bool request(Handle upstream, UpstreamRequest request);
  kernel::Result<Added> add_input(Handle stream, const UdpInputOptions& options);
  kernel::Result<Added> add_sender(Handle stream, const SenderOptions& options);
  /** Other parity of a sender from now on, or none. HANDLE_UNKNOWN, and as of ParitySender::change(). */
  std::optional<kernel::Error> set_parity(Handle sender, const ParitySenderOptions& options);
  kernel::Result<Added> add_receiver(const ReceiverOptions& options);
  /** On a loop of its own choice, or on that one; the port bound is in `number`. LOOP_UNKNOWN, and as of
   * Port::open(). */
  kernel::Result<Added> add_port(const PortOptions& options, std::optional<std::uint32_t> loop,
                                 std::uint16_t& number);
  /** FLOWS_ATTACHED while a flow or a receiver uses it. */
  std::optional<kernel::Error> remove_port(Handle port);
  /** On the loop of its input, a port or a stream; the plane finds what the handles stand for. MATCH_TAKEN,
   * LOOP_DIFFERS, MEMORY_BUDGET. */
  kernel::Result<Added> add_flow(Handle input, AddFlow flow);
  /** All or none; their handles follow each other from the one given. LOOP_DIFFERS, and as of
   * Flows::add_receivers(). */
  kernel::Result<Handle> add_flow_receivers(Handle flow, std::span<const FlowReceiverOptions> options);
  void remove_flow_receivers(std::span<const Handle> receivers);
  /** One step, between two packets. LOOP_DIFFERS, and as of Flows::set_gates(). */
  std::optional<kernel::Error> set_gates(std::span<const GateChange> changes);
  std::vector<FlowReceiverRow> flow_receivers(Handle flow, std::size_t offset, std::size_t limit);
  kernel::Result<Added> add_capture(const PacketCaptureOptions& options);
  kernel::Result<Added> add_replay(const ReplayOptions& options);
  /** For the connections to come; sessions can still be resumed. TLS_CERTIFICATE, HANDLE_UNKNOWN. */
  std::optional<kernel::Error> set_certificates(Handle listener,
                                                const std::vector<secure::ServerCertificate>& certificates);
  kernel::Result<Added> add_site(const SiteOptions& options);
  /** How objects of a site are fetched from now on, for `valid`, without asking. False when the site is
   * unknown. */
  bool set_way(Handle site, Way way, Nanos valid);
  /** False when too many requests wait. */
  bool fetch(FetchRequest request);
  /** False when the flight has ended meanwhile. */
  bool put_object(std::uint64_t ticket, MadeObject object);
  bool refuse_object(std::uint64_t ticket, objects::Refusal refusal);
  /** False when the handle is unknown. */
  bool set_tokens(Handle site, http::TokenRule rule);
  /** Logs the requests of all listeners there from now on; opens also a file that is open already, in case it
   * is another by now. None: logs nothing. On failure what was stays. */
  std::optional<kernel::Error> set_access_log(const std::optional<http::AccessLogOptions>& options);
  /** Groups by their addresses, from now on; none: no longer. */
  void set_relay(std::optional<RelayOptions> options);
  /** Gives a group that is wanted its stream; false when nobody wants it any more, or the stream is unknown.
   */
  bool open_relay(const std::string& group, Handle stream);
  bool refuse_relay(const std::string& group, objects::Refusal refusal);
  /** How many objects were forgotten. */
  std::size_t purge(Handle site, const std::string& path);
  /** Changes the limits of a listener, and of all the lag; false when it is unknown. The address is not
   * looked at. */
  bool set_limits(Handle listener, const http::ServerOptions& limits, Nanos viewer_lag);
  /** What was opened is in `opened`. */
  kernel::Result<Added> listen(const http::ServerOptions& options, Nanos viewer_lag, Listening& opened);
  /** Begins to accept on a listener that was held; false when the handle is unknown. */
  bool serve(Handle listener);
  /** Removes whatever the handle names; false when it is unknown. */
  bool remove(Handle handle);
  /** Every loop knows every route. */
  void set_route(const std::string& path, const Route& route);
  void delete_route(const std::string& path);
  std::vector<http::ViewerRow> viewers();

  [[nodiscard]] const CounterTable& counters() const noexcept { return counters_; }
  /** In the order of the loops. */
  [[nodiscard]] std::vector<std::uint32_t> loop_slots() const;
  [[nodiscard]] std::uint32_t object_slot() const noexcept { return object_slot_; }
  [[nodiscard]] std::uint32_t fetch_slot() const noexcept { return fetch_slot_; }
  [[nodiscard]] std::uint32_t access_log_slot() const noexcept { return access_log_slot_; }
  [[nodiscard]] std::uint32_t relay_slot() const noexcept { return relay_slot_; }

 private:
  struct SiteEntry;

  /** Where something with a handle is, for the verbs. */
  struct Place {
    Worker* worker = nullptr;
    Entry::Kind kind = Entry::Kind::stream;
    std::uint32_t slot = 0;
    /** The stream it is attached to, or 0. */
    Handle owner = 0;
    /** Taken of the budget. */
    std::size_t bytes = 0;
    /** Of a listener: the slots of its annexes on the other loops. */
    std::vector<std::uint32_t> annexes = {};
  };

  /** The loop that is asked for, or the one with the least to do. LOOP_UNKNOWN. */
  kernel::Result<Worker*> place(std::optional<std::uint32_t> wanted);
  template <class E, class Make>
  kernel::Result<Added> add(Worker& worker, Handle owner, Make&& make);
  template <class E, class Make>
  kernel::Result<Added> attach(Handle stream, Make&& make);
  template <class E, class F>
  bool with(Handle handle, F&& f);
  template <class Make>
  kernel::Result<Added> add_to_flows(Worker& worker, Entry::Kind kind, Handle owner, Make&& make);
  [[nodiscard]] kernel::Error table_full() const;
  template <class F>
  void on_each_loop(F&& f);
  void set_viewer_lag(Nanos lag);
  std::optional<kernel::Error> add_annex(Worker& worker, Handle listener, const http::ServerOptions& options,
                                         const std::shared_ptr<http::Commons>& commons);
  [[nodiscard]] http::SendOff send_off(Handle listener);
  [[nodiscard]] const Place* find(Handle handle, Entry::Kind kind) const;
  void forget(Handle handle);
  void tell(Event event);
  [[nodiscard]] EndHandler end_handler(Event::Type type, Handle handle);
  std::optional<kernel::Error> start_loops();
  std::optional<kernel::Error> start_objects();
  void start_relays();
  void keep_house(Nanos now);
  /** Where everything lives that is not a stream's. */
  [[nodiscard]] Worker& first() noexcept { return *workers_.front(); }

  CounterTable counters_;
  std::uint32_t object_slot_;
  std::uint32_t fetch_slot_;
  std::uint32_t access_log_slot_;
  std::uint32_t relay_slot_;
  const PlaneOptions options_;
  MemoryBudget memory_;
  const EventHandler handler_;
  /** tell(), for those on the loops. */
  const EventHandler on_event_;
  std::vector<std::unique_ptr<Worker>> workers_;
  // On the first loop.
  std::unique_ptr<objects::Store> store_;
  std::unique_ptr<Ways> ways_;
  std::unique_ptr<Fetchers> fetchers_;
  std::unique_ptr<Sites> sites_;
  std::unique_ptr<http::AccessLog> access_log_;
  std::unique_ptr<Relays> relays_;
  /** Where the streams of groups are. */
  std::unordered_map<Handle, std::uint32_t> relay_loops_;
  // Of the verbs' thread.
  std::unordered_map<Handle, Place> places_;
  /** The receivers of flows. */
  std::unordered_map<Handle, Worker*> receivers_;
  Handle next_handle_ = 1;
  std::shared_ptr<secure::ClientContext> trusting_;
  std::shared_ptr<secure::ClientContext> insecure_;
  bool open_ = false;
};

/** `make(handle, slot)`, on the worker's loop, gives a filled entry, or the reason why there is none. */
template <class E, class Make>
kernel::Result<Added> Plane::add(Worker& worker, Handle owner, Make&& make) {
  if (!open_) return unknown(owner);
  const auto slot = counters_.take();
  if (!slot) return table_full();
  const Handle handle = next_handle_++;
  auto failure = worker.call([&]() -> std::optional<kernel::Error> {
    kernel::Result<std::unique_ptr<E>> made = make(handle, *slot);
    if (!made.ok()) return std::move(made.error());
    worker.put(handle, std::move(made.value()));
    return std::nullopt;
  });
  if (failure) {
    counters_.give_back(*slot);
    return std::move(*failure);
  }
  places_.emplace(handle, Place{&worker, E::kKind, *slot, owner});
  return Added{handle, *slot, worker.index()};
}

/** `make(handle, slot, worker, stream)`, as with add(). */
template <class E, class Make>
kernel::Result<Added> Plane::attach(Handle stream, Make&& make) {
  const Place* const at = find(stream, Entry::Kind::stream);
  if (at == nullptr) return unknown(stream);
  Worker& worker = *at->worker;
  return add<E>(worker, stream, [&](Handle handle, std::uint32_t slot) {
    return make(handle, slot, worker, *worker.find<StreamEntry>(stream)->stream);
  });
}

/** Gives `f` the entry, on its loop; false when there is none, else what `f` gives. */
template <class E, class F>
bool Plane::with(Handle handle, F&& f) {
  const Place* const at = find(handle, E::kKind);
  return at != nullptr && at->worker->call([&] { return f(*at->worker->template find<E>(handle)); });
}

/** One after the other. */
template <class F>
void Plane::on_each_loop(F&& f) {
  if (!open_) return;
  for (const auto& worker : workers_) worker->call([&] { f(*worker); });
}

}  // namespace sluice::plane
