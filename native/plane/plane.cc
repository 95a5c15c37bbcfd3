#include "plane/plane.h"

#include <utility>

namespace sluice::plane {

using kernel::Error;
using kernel::gauge;
using kernel::Result;

namespace {

constexpr std::size_t kSlots = 4096;
/** Viewers of segments count while they fetched within so many target durations. */
constexpr int kSegmentedDurations = 3;
/** A flight for which nothing has come for so long is given up; every timeout of a fetch is shorter. */
constexpr Nanos kLongestFlight = 60 * kernel::kSecond;

Error unknown(Handle handle) {
  return {"HANDLE_UNKNOWN", "there is nothing with the handle " + std::to_string(handle)};
}

Error over_budget(const std::string& name, std::size_t wanted, std::size_t budget, std::size_t used) {
  return {"MEMORY_BUDGET", "the ring of `" + name + "` needs " + std::to_string(wanted) +
                               " bytes, but of the budget of " + std::to_string(budget) + " only " +
                               std::to_string(budget - used) + " are left"};
}

}  // namespace

/** Something with a handle. Destroyed on the loop thread, or when it has ended. */
struct Plane::Entry {
  enum class Kind : std::uint8_t {
    stream,
    upstream,
    input,
    sender,
    receiver,
    listener,
    site,
    capture,
    replay
  };
  explicit Entry(Kind k) noexcept : kind(k) {}
  virtual ~Entry() = default;
  const Kind kind;
  std::uint32_t slot = 0;
  /** The stream it is attached to, or 0. */
  Handle owner = 0;
};

struct Plane::StreamEntry final : Entry, StreamObserver {
  static constexpr Kind kKind = Kind::stream;
  StreamEntry(Plane& p, Handle h) : Entry(kKind), plane(p), handle(h) {}
  void on_stream_ready() noexcept override {
    plane.on_event_({Event::Type::stream_ready, handle, nullptr, {}, {}, {}});
  }
  void on_source_fault(const char* code, std::string detail) override {
    plane.on_event_({Event::Type::source_fault, handle, code, std::move(detail), {}, {}});
  }
  Plane& plane;
  const Handle handle;
  std::size_t bytes = 0;
  std::unique_ptr<Stream> stream;
};

struct Plane::UpstreamEntry final : Entry, UpstreamObserver {
  static constexpr Kind kKind = Kind::upstream;
  UpstreamEntry(Plane& p, Handle h) : Entry(kKind), plane(p), handle(h) {}
  void on_upstream_head(std::uint64_t, unsigned status) override {
    Event e{Event::Type::upstream_head, handle, nullptr, {}, {}, {}};
    e.result.status = status;
    plane.on_event_(std::move(e));
  }
  void on_upstream_end(UpstreamResult result) override {
    plane.on_event_({Event::Type::upstream_end, handle, nullptr, {}, std::move(result), {}});
  }
  Plane& plane;
  const Handle handle;
  std::unique_ptr<Upstream> upstream;
};

struct Plane::InputEntry final : Entry {
  static constexpr Kind kKind = Kind::input;
  InputEntry() noexcept : Entry(kKind) {}
  std::unique_ptr<UdpInput> input;
};

struct Plane::SenderEntry final : Entry {
  static constexpr Kind kKind = Kind::sender;
  SenderEntry() noexcept : Entry(kKind) {}
  std::unique_ptr<Sender> sender;
};

struct Plane::ReceiverEntry final : Entry {
  static constexpr Kind kKind = Kind::receiver;
  ReceiverEntry() noexcept : Entry(kKind) {}
  std::unique_ptr<Receiver> receiver;
};

struct Plane::ListenerEntry final : Entry {
  static constexpr Kind kKind = Kind::listener;
  ListenerEntry() noexcept : Entry(kKind) {}
  std::unique_ptr<http::Server> server;
};

struct Plane::SiteEntry final : Entry {
  static constexpr Kind kKind = Kind::site;
  SiteEntry(Plane& p, Handle h) : Entry(kKind), plane(p), handle(h) {}
  SiteEntry(const SiteEntry&) = delete;
  SiteEntry& operator=(const SiteEntry&) = delete;
  ~SiteEntry() override {
    plane.ways_->erase(handle);
    plane.sites_->erase(handle);
  }
  Plane& plane;
  const Handle handle;
};

struct Plane::CaptureEntry final : Entry {
  static constexpr Kind kKind = Kind::capture;
  CaptureEntry() noexcept : Entry(kKind) {}
  std::unique_ptr<PacketCapture> capture;
};

struct Plane::ReplayEntry final : Entry {
  static constexpr Kind kKind = Kind::replay;
  ReplayEntry() noexcept : Entry(kKind) {}
  std::unique_ptr<CaptureReplay> replay;
};

Plane::Plane(PlaneOptions options, EventHandler on_event)
    : counters_(kSlots),
      loop_slot_(*counters_.take()),
      object_slot_(*counters_.take()),
      fetch_slot_(*counters_.take()),
      access_log_slot_(*counters_.take()),
      options_(std::move(options)),
      on_event_(std::move(on_event)),
      loop_(counters_.as<LoopCounters>(loop_slot_), [this](Nanos now) { keep_house(now); }),
      routes_([this](Handle handle) -> Stream* {
        auto* const entry = find<StreamEntry>(handle);
        return entry != nullptr ? entry->stream.get() : nullptr;
      }) {}

template <class F>
auto Plane::on_loop(F&& f) {
  using R = decltype(f());
  if constexpr (std::is_void_v<R>) {
    loop_.call(f);
  } else {
    std::optional<R> result;
    loop_.call([&] { result.emplace(f()); });
    return std::move(*result);
  }
}

template <class E>
E* Plane::as(Entry* entry) noexcept {
  return entry->kind == E::kKind ? static_cast<E*>(entry) : nullptr;
}

template <class E>
E* Plane::find(Handle handle) {
  const auto at = entries_.find(handle);
  return at != entries_.end() ? as<E>(at->second.get()) : nullptr;
}

Plane::~Plane() {
  close();
}

std::optional<kernel::Error> Plane::start() {
  auto store = objects::Store::create(loop_.reactor(), options_.objects,
                                      counters_.as<objects::ObjectCounters>(object_slot_));
  if (!store.ok()) return store.error();
  store_ = std::move(store.value());
  ways_ = std::make_unique<Ways>(*store_, [this](Question question) {
    const Handle site = question.wanted.site;
    on_event_({Event::Type::object_wanted,
               site,
               nullptr,
               {},
               std::move(question.answer),
               std::move(question.wanted)});
  });
  fetchers_ = std::make_unique<Fetchers>(
      loop_.reactor(), *store_, options_.via, counters_.as<FetchCounters>(fetch_slot_),
      [this](UpstreamResult result) {
        if (ways_->take(result)) return;
        on_event_({Event::Type::upstream_end, 0, nullptr, {}, std::move(result), {}});
      });
  ways_->use(*fetchers_);
  sites_ = std::make_unique<Sites>(*store_, options_.via,
                                   [this](WantedObject wanted) { ways_->want(std::move(wanted)); });
  routes_.set_sites(sites_.get());
  open_ = loop_.start();
  if (!open_) return kernel::system_error("starting the plane's loop");
  return std::nullopt;
}

void Plane::close() {
  if (!std::exchange(open_, false)) return;
  // What is attached goes before the streams, as with remove().
  on_loop([this] {
    std::vector<Handle> streams;
    std::vector<Handle> others;
    for (const auto& [handle, entry] : entries_)
      (as<StreamEntry>(entry.get()) != nullptr ? streams : others).push_back(handle);
    for (const Handle handle : others) erase(handle);
    for (const Handle handle : streams) erase(handle);
    fetchers_.reset();
    store_.reset();
  });
  loop_.stop();
  access_log_.reset();
}

void Plane::erase(Handle handle) {
  const auto at = entries_.find(handle);
  if (at == entries_.end()) return;
  const std::unique_ptr<Entry> entry = std::move(at->second);
  entries_.erase(at);
  counters_.give_back(entry->slot);
  if (const auto* stream = as<StreamEntry>(entry.get())) memory_used_ -= stream->bytes;
}

/** `make(handle, slot, stream)` gives a filled entry, or the reason why there is none. */
template <class E, class Make>
Result<Added> Plane::add(Handle owner, Make&& make) {
  if (!open_) return unknown(owner);
  return on_loop([&]() -> Result<Added> {
    StreamEntry* const stream = owner != 0 ? find<StreamEntry>(owner) : nullptr;
    if (owner != 0 && stream == nullptr) return unknown(owner);
    const auto slot = counters_.take();
    if (!slot)
      return Error{"MEMORY_BUDGET", "the table of counters is full: " + std::to_string(kSlots) + " entries"};
    const Handle handle = next_handle_++;
    Result<std::unique_ptr<E>> made = make(handle, *slot, stream != nullptr ? stream->stream.get() : nullptr);
    if (!made.ok()) {
      counters_.give_back(*slot);
      return made.error();
    }
    made.value()->slot = *slot;
    made.value()->owner = owner;
    entries_.emplace(handle, std::move(made.value()));
    return Added{handle, *slot};
  });
}

Result<Added> Plane::add_stream(const StreamOptions& options) {
  return add<StreamEntry>(
      0, [&](Handle handle, std::uint32_t slot, Stream*) -> Result<std::unique_ptr<StreamEntry>> {
        if (options.ring_bytes > options_.memory - memory_used_)
          return over_budget(options.name, options.ring_bytes, options_.memory, memory_used_);
        auto entry = std::make_unique<StreamEntry>(*this, handle);
        auto stream = Stream::create(loop_.reactor(), options, counters_.as<StreamCounters>(slot),
                                     counters_.as<LoopCounters>(loop_slot_), *entry);
        if (!stream.ok()) return stream.error();
        entry->stream = std::move(stream.value());
        entry->bytes = options.ring_bytes;
        memory_used_ += options.ring_bytes;
        return entry;
      });
}

bool Plane::splice_stream(Handle stream) {
  return open_ && on_loop([&] {
           auto* const entry = find<StreamEntry>(stream);
           if (entry != nullptr) entry->stream->splice();
           return entry != nullptr;
         });
}

Result<Added> Plane::open_upstream(Handle stream, const http::ClientTimeouts& timeouts) {
  return add<UpstreamEntry>(
      stream, [&](Handle handle, std::uint32_t slot, Stream* s) -> Result<std::unique_ptr<UpstreamEntry>> {
        auto entry = std::make_unique<UpstreamEntry>(*this, handle);
        entry->upstream = std::make_unique<Upstream>(loop_.reactor(), *s, timeouts,
                                                     counters_.as<http::UpstreamCounters>(slot), *entry);
        return entry;
      });
}

kernel::Result<bool> Plane::trust(const std::string& authorities) {
  auto trusting = secure::ClientContext::create({authorities, false});
  if (!trusting.ok()) return trusting.error();
  auto insecure = secure::ClientContext::create({"", true});
  if (!insecure.ok()) return insecure.error();
  trusting_ = std::move(trusting.value());
  insecure_ = std::move(insecure.value());
  return true;
}

bool Plane::request(Handle upstream, UpstreamRequest request) {
  return open_ && on_loop([&] {
           auto* const entry = find<UpstreamEntry>(upstream);
           return entry != nullptr && entry->upstream->request(std::move(request));
         });
}

Result<Added> Plane::add_input(Handle stream, const UdpInputOptions& options) {
  return add<InputEntry>(
      stream, [&](Handle, std::uint32_t slot, Stream* s) -> Result<std::unique_ptr<InputEntry>> {
        UdpInputOptions coalescing = options;
        // Several datagrams with one time stamp are as good here: the stream's clock is recovered from the
        // PCR.
        coalescing.socket.coalesce = true;
        auto input = UdpInput::open(loop_.reactor(), coalescing, *s, counters_.as<InputCounters>(slot));
        if (!input.ok()) return input.error();
        auto entry = std::make_unique<InputEntry>();
        entry->input = std::move(input.value());
        return entry;
      });
}

Result<Added> Plane::add_sender(Handle stream, const SenderOptions& options) {
  return add<SenderEntry>(
      stream, [&](Handle, std::uint32_t slot, Stream* s) -> Result<std::unique_ptr<SenderEntry>> {
        auto socket = kernel::UdpTx::open(options.socket);
        if (!socket.ok()) return socket.error();
        auto entry = std::make_unique<SenderEntry>();
        entry->sender = std::make_unique<Sender>(*s, std::move(socket.value()), options.batching,
                                                 counters_.as<SenderCounters>(slot));
        return entry;
      });
}

Result<Added> Plane::add_receiver(const ReceiverOptions& options) {
  return add<ReceiverEntry>(
      0, [&](Handle, std::uint32_t slot, Stream*) -> Result<std::unique_ptr<ReceiverEntry>> {
        auto receiver = Receiver::open(loop_.reactor(), options, counters_.as<InputCounters>(slot));
        if (!receiver.ok()) return receiver.error();
        auto entry = std::make_unique<ReceiverEntry>();
        entry->receiver = std::move(receiver.value());
        return entry;
      });
}

EndHandler Plane::end_handler(Event::Type type, Handle handle) {
  return [this, type, handle](const char* code, std::string detail) {
    on_event_({type, handle, code, std::move(detail), {}, {}});
  };
}

Result<Added> Plane::add_capture(const PacketCaptureOptions& options) {
  return add<CaptureEntry>(
      0, [&](Handle handle, std::uint32_t slot, Stream*) -> Result<std::unique_ptr<CaptureEntry>> {
        auto capture = PacketCapture::open(loop_.reactor(), options, counters_.as<CaptureCounters>(slot),
                                           end_handler(Event::Type::capture_end, handle));
        if (!capture.ok()) return capture.error();
        auto entry = std::make_unique<CaptureEntry>();
        entry->capture = std::move(capture.value());
        return entry;
      });
}

Result<Added> Plane::add_replay(const ReplayOptions& options) {
  return add<ReplayEntry>(
      0, [&](Handle handle, std::uint32_t slot, Stream*) -> Result<std::unique_ptr<ReplayEntry>> {
        auto replay = CaptureReplay::open(loop_.reactor(), options, counters_.as<ReplayCounters>(slot),
                                          end_handler(Event::Type::replay_end, handle));
        if (!replay.ok()) return replay.error();
        auto entry = std::make_unique<ReplayEntry>();
        entry->replay = std::move(replay.value());
        return entry;
      });
}

Result<Added> Plane::listen(const http::ServerOptions& options, Nanos viewer_lag, Listening& opened) {
  return add<ListenerEntry>(
      0, [&](Handle, std::uint32_t slot, Stream*) -> Result<std::unique_ptr<ListenerEntry>> {
        auto server =
            http::Server::open(loop_.reactor(), options, routes_, counters_.as<http::ListenerCounters>(slot));
        if (!server.ok()) return server.error();
        routes_.set_viewer_lag(viewer_lag);
        opened = {server.value()->port(), server.value()->socket()};
        auto entry = std::make_unique<ListenerEntry>();
        entry->server = std::move(server.value());
        entry->server->set_access_log(access_log_.get());
        return entry;
      });
}

std::optional<Error> Plane::set_access_log(const std::optional<http::AccessLogOptions>& options) {
  if (!open_) return std::nullopt;
  std::unique_ptr<http::AccessLog> next;
  if (options) {
    auto opened = http::AccessLog::open(*options, counters_.as<http::AccessLogCounters>(access_log_slot_));
    if (!opened.ok()) return opened.error();
    next = std::move(opened.value());
  }
  // What it replaces is written to the end here, where waiting for a disk holds up no packet.
  on_loop([&] {
    access_log_.swap(next);
    for (const auto& [handle, entry] : entries_)
      if (auto* const listener = as<ListenerEntry>(entry.get()))
        listener->server->set_access_log(access_log_.get());
  });
  return std::nullopt;
}

std::optional<Error> Plane::set_certificates(Handle listener,
                                             const std::vector<secure::ServerCertificate>& certificates) {
  if (!open_) return unknown(listener);
  return on_loop([&]() -> std::optional<Error> {
    auto* const entry = find<ListenerEntry>(listener);
    if (entry == nullptr || !entry->server->tls()) return unknown(listener);
    auto tls = secure::ServerContext::create(certificates, entry->server->tls()->tickets());
    if (!tls.ok()) return tls.error();
    entry->server->set_tls(std::move(tls.value()));
    return std::nullopt;
  });
}

Result<Added> Plane::add_site(const SiteOptions& options) {
  return add<SiteEntry>(
      0, [&](Handle handle, std::uint32_t slot, Stream*) -> Result<std::unique_ptr<SiteEntry>> {
        if (!sites_->set(handle, options, counters_.as<SiteCounters>(slot)))
          return Error{"USAGE", "another site has the prefix `" + options.prefix + "` already"};
        return std::make_unique<SiteEntry>(*this, handle);
      });
}

bool Plane::set_tokens(Handle site, http::TokenRule rule) {
  return open_ && on_loop([&] { return sites_->set_tokens(site, std::move(rule)); });
}

bool Plane::set_way(Handle site, Way way, Nanos valid) {
  return open_ && on_loop([&] {
           const auto* const entry = find<SiteEntry>(site);
           if (entry == nullptr) return false;
           way.fetched = &counters_.as<SiteCounters>(entry->slot).fetched;
           way.until = loop_.reactor().now() + valid;
           ways_->set(site, std::move(way));
           return true;
         });
}

bool Plane::fetch(FetchRequest request) {
  return open_ && on_loop([&] { return fetchers_->request(std::move(request)); });
}

bool Plane::put_object(std::uint64_t ticket, MadeObject made) {
  return open_ && on_loop([&] {
           const auto object = store_->flight(ticket);
           if (!object) return false;
           objects::Head head = object_head(made.head, options_.via);
           head.length = made.body.size();
           if (const auto error =
                   store_->begin(object, std::move(head), http::freshness_of(made.head, made.freshness))) {
             store_->fail(object, {503, 1, error->message});
             return false;
           }
           if (store_->append(object, {reinterpret_cast<const std::uint8_t*>(made.body.data()),
                                       made.body.size()}) != nullptr)
             return false;
           store_->complete(object);
           return true;
         });
}

bool Plane::refuse_object(std::uint64_t ticket, objects::Refusal refusal) {
  return open_ && on_loop([&] {
           const auto object = store_->flight(ticket);
           if (object) store_->fail(object, std::move(refusal));
           return object != nullptr;
         });
}

std::size_t Plane::purge(Handle site, const std::string& path) {
  return open_ ? on_loop([&] { return sites_->purge(site, path); }) : 0;
}

bool Plane::set_limits(Handle listener, const http::ServerOptions& limits, Nanos viewer_lag) {
  return open_ && on_loop([&] {
           auto* const entry = find<ListenerEntry>(listener);
           if (entry == nullptr) return false;
           entry->server->set_limits(limits);
           routes_.set_viewer_lag(viewer_lag);
           return true;
         });
}

bool Plane::serve(Handle listener) {
  return open_ && on_loop([&] {
           auto* const entry = find<ListenerEntry>(listener);
           if (entry != nullptr) entry->server->serve();
           return entry != nullptr;
         });
}

bool Plane::remove(Handle handle) {
  return open_ && on_loop([&] {
           if (entries_.find(handle) == entries_.end()) return false;
           std::vector<Handle> attached;
           for (const auto& [h, entry] : entries_)
             if (entry->owner == handle) attached.push_back(h);
           for (const Handle h : attached) erase(h);
           erase(handle);
           return true;
         });
}

void Plane::set_route(const std::string& path, Route route) {
  if (open_) on_loop([&] { routes_.set(path, std::move(route)); });
}

void Plane::delete_route(const std::string& path) {
  if (open_) on_loop([&] { routes_.erase(path); });
}

std::vector<http::ViewerRow> Plane::viewers() {
  std::vector<http::ViewerRow> rows;
  if (open_)
    on_loop([&] {
      for (const auto& [handle, entry] : entries_)
        if (const auto* listener = as<ListenerEntry>(entry.get())) listener->server->viewers(rows);
    });
  return rows;
}

void Plane::keep_house(Nanos now) {
  // The turn in which the plane is closed ends as any other.
  if (!store_) return;
  gauge(counters_.as<LoopCounters>(loop_slot_).timer_late_ns_max, 0);
  store_->expire_wanted(now - kLongestFlight, {504, 1, "nobody answered in time"});
  fetchers_->housekeeping(now);
  if (access_log_) access_log_->flush();
  int longest = 1;
  for (const auto& [handle, entry] : entries_) {
    auto* const stream = as<StreamEntry>(entry.get());
    if (stream == nullptr) continue;
    stream->stream->housekeeping(now);
    longest = std::max(longest, stream->stream->segmenter().target_duration());
  }
  std::unordered_map<std::uint64_t, std::uint64_t> counts;
  for (const auto& [handle, entry] : entries_)
    if (const auto* listener = as<ListenerEntry>(entry.get()))
      listener->server->count_segmented(counts, now - kSegmentedDurations * longest * kernel::kSecond);
  for (const auto& [handle, entry] : entries_)
    if (as<StreamEntry>(entry.get()) != nullptr)
      gauge(counters_.as<StreamCounters>(entry->slot).viewers_segmented, counts[handle]);
}

}  // namespace sluice::plane
