// The plane: one loop, its streams and everything attached to them, behind a few verbs.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "http/server.h"
#include "plane/capture_replay.h"
#include "plane/fetchers.h"
#include "plane/loop.h"
#include "plane/packet_capture.h"
#include "plane/receiver.h"
#include "plane/routes.h"
#include "plane/sender.h"
#include "plane/sites.h"
#include "plane/udp_input.h"
#include "plane/upstream.h"
#include "plane/ways.h"

namespace sluice::plane {

using Handle = std::uint64_t;

/** What the plane tells; made on the loop thread. */
struct Event {
  enum class Type : std::uint8_t {
    source_fault,
    stream_ready,
    upstream_head,
    /** Of a request of an upstream's, or of a fetch. */
    upstream_end,
    object_wanted,
    capture_end,
    replay_end
  };
  Type type = Type::stream_ready;
  /** The stream, upstream, site, capture or replay concerned; 0 for a fetch. */
  Handle handle = 0;
  const char* code = nullptr;
  std::string detail;
  UpstreamResult result;
  WantedObject wanted;
};

/** What the plane may use, and what it is called. */
struct PlaneOptions {
  /** Bytes of all rings together. */
  std::size_t memory = 0;
  objects::StoreOptions objects;
  /** Received-by part of Via (RFC 9110 section 7.6.3), with the version: `1.1 NAME`. */
  std::string via = "1.1 sluice";
};

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
};

/** What a listener has opened. */
struct Listening {
  std::uint16_t port = 0;
  /** The listening socket; it stays the plane's. */
  int socket = -1;
};

struct SenderOptions {
  kernel::UdpTxOptions socket;
  Batching batching = Batching::automatic;
};

/**
 * All verbs are for one thread, which is not the loop's; they wait for the loop where needed. Handles are
 * never used again. Removing a stream removes what is attached to it. After close() every verb answers
 * HANDLE_UNKNOWN.
 */
class Plane {
 public:
  using EventHandler = std::function<void(Event)>;

  /** `on_event` is called on the loop thread. */
  Plane(PlaneOptions options, EventHandler on_event);
  Plane(const Plane&) = delete;
  Plane& operator=(const Plane&) = delete;
  ~Plane();

  /** False, with errno, when the kernel gave no loop; the reason is told where there is no room for objects.
   */
  [[nodiscard]] std::optional<kernel::Error> start();
  void close();

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
  kernel::Result<Added> add_receiver(const ReceiverOptions& options);
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
  void set_route(const std::string& path, Route route);
  void delete_route(const std::string& path);
  std::vector<http::ViewerRow> viewers();

  [[nodiscard]] const std::shared_ptr<std::vector<std::uint64_t>>& counter_words() const noexcept {
    return counters_.words();
  }
  [[nodiscard]] std::uint32_t loop_slot() const noexcept { return loop_slot_; }
  [[nodiscard]] std::uint32_t object_slot() const noexcept { return object_slot_; }
  [[nodiscard]] std::uint32_t fetch_slot() const noexcept { return fetch_slot_; }
  [[nodiscard]] std::uint32_t access_log_slot() const noexcept { return access_log_slot_; }

 private:
  struct Entry;
  struct StreamEntry;
  struct UpstreamEntry;
  struct InputEntry;
  struct SenderEntry;
  struct ReceiverEntry;
  struct ListenerEntry;
  struct SiteEntry;
  struct CaptureEntry;
  struct ReplayEntry;

  /** Runs on the loop and gives back what it returns. */
  template <class F>
  auto on_loop(F&& f);
  template <class E, class Make>
  kernel::Result<Added> add(Handle owner, Make&& make);
  /** The entry as one of its kinds, or null; Node builds addons without RTTI. */
  template <class E>
  static E* as(Entry* entry) noexcept;
  template <class E>
  E* find(Handle handle);
  void erase(Handle handle);
  [[nodiscard]] EndHandler end_handler(Event::Type type, Handle handle);
  void keep_house(Nanos now);

  CounterTable counters_;
  std::uint32_t loop_slot_;
  std::uint32_t object_slot_;
  std::uint32_t fetch_slot_;
  std::uint32_t access_log_slot_;
  const PlaneOptions options_;
  std::size_t memory_used_ = 0;
  EventHandler on_event_;
  Loop loop_;
  std::unique_ptr<objects::Store> store_;
  std::unique_ptr<Ways> ways_;
  std::unique_ptr<Fetchers> fetchers_;
  std::unique_ptr<Sites> sites_;
  std::unique_ptr<http::AccessLog> access_log_;
  Routes routes_;
  std::unordered_map<Handle, std::unique_ptr<Entry>> entries_;
  Handle next_handle_ = 1;
  std::shared_ptr<secure::ClientContext> trusting_;
  std::shared_ptr<secure::ClientContext> insecure_;
  bool open_ = false;
};

}  // namespace sluice::plane
