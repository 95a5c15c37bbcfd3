#include "plane/fetchers.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "http/forward.h"
#include "kernel/counter.h"

namespace sluice::plane {

namespace {

constexpr kernel::Nanos kKeptIdle = 30 * kernel::kSecond;

bool same(const kernel::Address& a, const kernel::Address& b) noexcept {
  return a.size() == b.size() && std::memcmp(a.get(), b.get(), a.size()) == 0;
}

/** What stands in front of a body that goes on as it came. */
objects::Head raw_head(const http::ResponseHead& from, const std::string& via) {
  objects::Head head = object_head(from, via);
  if (const auto* coding = from.find("content-encoding"))
    head.fields += "content-encoding: " + *coding + "\r\n";
  if (const auto* length = from.find("content-length"))
    head.length = std::strtoull(length->c_str(), nullptr, 10);
  return head;
}

}  // namespace

objects::Head object_head(const http::ResponseHead& from, const std::string& via) {
  objects::Head head;
  head.status = from.status;
  head.fields = http::forwarded_fields(from, via);
  if (const auto* etag = from.find("etag")) head.etag = *etag;
  if (const auto* modified = from.find("last-modified")) head.last_modified = *modified;
  return head;
}

/** One connection and its present request. */
class Fetchers::Fetcher final : private http::ClientHandler, private kernel::Timer {
 public:
  Fetcher(Fetchers& pool, const http::ClientTimeouts& timeouts)
      : pool_(pool), timeouts_(timeouts), client_(pool.reactor_, timeouts, *this, counters_) {}

  void start(FetchRequest request) {
    request_ = std::move(request);
    result_ = {};
    result_.request = request_.id;
    asked_again_ = false;
    object_ = request_.ticket != 0 ? pool_.store_.flight(request_.ticket) : nullptr;
    used_ = pool_.reactor_.now();
    if (request_.ticket != 0 && !object_)
      return refuse("UPSTREAM_TIMEOUT", "nobody waits for the object any more");
    client_.request(request_.http);
  }
  /** Ends the request where it is. */
  void stop() {
    client_.cancel();
    if (object_) pool_.store_.fail(object_, {503, 1, "the daemon is ending"});
  }
  /** Whether this connection could carry it. */
  [[nodiscard]] bool suits(const FetchRequest& other) const noexcept {
    return same(request_.http.address, other.http.address) && request_.http.tls == other.http.tls &&
           request_.http.server_name == other.http.server_name && timeouts_ == other.timeouts;
  }
  [[nodiscard]] kernel::Nanos used() const noexcept { return used_; }
  [[nodiscard]] const http::UpstreamCounters& counters() const noexcept { return counters_; }

 private:
  void on_head(const http::ResponseHead& head) noexcept override {
    result_.status = head.status;
    result_.fields = head.fields;
    if (!object_) return;
    const objects::Freshness freshness = http::freshness_of(head, request_.freshness);
    if (head.status == 304) {
      if (!pool_.store_.revalidate(object_, freshness))
        refuse("UPSTREAM_HTTP", "304 came, but nothing was there to be valid");
    } else if (head.status == 200) {
      if (const auto error = pool_.store_.begin(object_, raw_head(head, pool_.via_), freshness))
        refuse(error->code, error->message);
    } else if (head.status > 200 && head.status < 300) {
      // Of no use, however long it is; who asked learns the status.
      stop_here();
    }
  }
  void on_body(codec::Bytes bytes) noexcept override {
    if (request_.ticket == 0) {
      result_.body.insert(result_.body.end(), bytes.begin(), bytes.end());
    } else if (object_ && result_.status == 200) {
      if (const char* const wrong = pool_.store_.append(object_, bytes))
        refuse(wrong, "the object has no room after " + std::to_string(object_->size()) + " bytes");
    }
  }
  void on_end(const http::ClientOutcome& outcome) noexcept override {
    // A kept connection that the server had closed meanwhile: RFC 9112 section 9.3.1 lets a GET be asked
    // again at once.
    if (outcome.reused && !std::exchange(asked_again_, true)) {
      client_.request(request_.http);
      return;
    }
    result_.code = outcome.code;
    result_.message = outcome.message;
    result_.bytes = outcome.bytes;
    result_.reused = outcome.reused;
    conclude();
  }
  void on_timer(kernel::Nanos) noexcept override { conclude(); }
  void conclude() {
    used_ = pool_.reactor_.now();
    if (object_ && object_->phase() == objects::Phase::growing) {
      if (result_.code == nullptr) {
        pool_.store_.complete(object_);
      } else {
        pool_.store_.fail(object_, {});
      }
    }
    object_.reset();
    pool_.on_done(*this, std::move(result_));
  }
  void refuse(const char* code, std::string message) {
    result_.code = code;
    result_.message = std::move(message);
    stop_here();
  }
  /** Ends the request before its time, from within one of its callbacks too. */
  void stop_here() {
    client_.cancel();
    pool_.reactor_.arm(*this, pool_.reactor_.now());
  }

  Fetchers& pool_;
  const http::ClientTimeouts timeouts_;
  http::UpstreamCounters counters_;
  http::Client client_;
  FetchRequest request_;
  UpstreamResult result_;
  std::shared_ptr<objects::Object> object_;
  kernel::Nanos used_ = 0;
  bool asked_again_ = false;
};

Fetchers::Fetchers(kernel::Reactor& reactor, objects::Store& store, std::string via, FetchCounters& counters,
                   Done done)
    : reactor_(reactor), store_(store), via_(std::move(via)), counters_(counters), done_(std::move(done)) {}

Fetchers::~Fetchers() {
  for (const auto& fetcher : running_) fetcher->stop();
}

bool Fetchers::request(FetchRequest request) {
  if (running_.size() < kMostRunning) {
    start(std::move(request));
  } else {
    if (queue_.size() >= kMostQueued) return false;
    queue_.push_back(std::move(request));
  }
  count();
  return true;
}

void Fetchers::start(FetchRequest request) {
  const auto kept = std::find_if(idle_.rbegin(), idle_.rend(),
                                 [&](const auto& fetcher) { return fetcher->suits(request); });
  std::unique_ptr<Fetcher> fetcher;
  if (kept != idle_.rend()) {
    fetcher = std::move(*kept);
    idle_.erase(std::next(kept).base());
  } else {
    fetcher = std::make_unique<Fetcher>(*this, request.timeouts);
  }
  Fetcher& started = *fetcher;
  running_.push_back(std::move(fetcher));
  started.start(std::move(request));
}

void Fetchers::on_done(Fetcher& fetcher, UpstreamResult result) {
  const auto at = std::find_if(running_.begin(), running_.end(),
                               [&](const auto& running) { return running.get() == &fetcher; });
  idle_.push_back(std::move(*at));
  running_.erase(at);
  if (!queue_.empty()) {
    FetchRequest next = std::move(queue_.front());
    queue_.pop_front();
    start(std::move(next));
  }
  count();
  done_(std::move(result));
}

void Fetchers::housekeeping(kernel::Nanos now) {
  const auto old = std::partition(idle_.begin(), idle_.end(),
                                  [&](const auto& fetcher) { return now - fetcher->used() < kKeptIdle; });
  for (auto at = old; at != idle_.end(); ++at) {
    past_.requests += (*at)->counters().requests;
    past_.connects += (*at)->counters().connects;
    past_.bytes_in += (*at)->counters().bytes_in;
  }
  idle_.erase(old, idle_.end());
  count();
}

void Fetchers::count() noexcept {
  http::UpstreamCounters sum = past_;
  for (const auto* list : {&running_, &idle_})
    for (const auto& fetcher : *list) {
      sum.requests += fetcher->counters().requests;
      sum.connects += fetcher->counters().connects;
      sum.bytes_in += fetcher->counters().bytes_in;
      sum.connected += fetcher->counters().connected;
    }
  kernel::gauge(counters_.requests, sum.requests);
  kernel::gauge(counters_.connects, sum.connects);
  kernel::gauge(counters_.bytes_in, sum.bytes_in);
  kernel::gauge(counters_.connections, sum.connected);
  kernel::gauge(counters_.running, running_.size());
  kernel::gauge(counters_.queued, queue_.size());
}

}  // namespace sluice::plane
