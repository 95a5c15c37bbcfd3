// Many viewers in one process, light enough to share two cores with what they watch.
//
//   viewers --server ADDRESS --port N [--continuous PATH=COUNT]... [--hls PATH=COUNT]... [--receive-buffer
//   BYTES]
//           [--seconds N] [--stagger-ms N]
//
// Prints one JSON line a second and one at the end (SIGINT, SIGTERM, or after --seconds). All counts are
// totals; the gaps are the longest since the line before. SIGUSR1: all viewers stop reading; SIGUSR2: they go
// on.
#include <sys/signalfd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "continuous_viewer.h"
#include "hls_viewer.h"

namespace sluice::lab {
namespace {

struct Group {
  std::string path;
  int count = 0;
};

struct Options {
  Server server;
  std::vector<Group> continuous;
  std::vector<Group> hls;
  int64_t seconds = 0;
  int64_t stagger_ms = 5;
};

[[noreturn]] void misuse(const std::string& what) {
  std::fprintf(stderr, "viewers: %s\n", what.c_str());
  std::exit(2);
}

Group parse_group(const std::string& text) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos) misuse("expected PATH=COUNT, got " + text);
  return {text.substr(0, equals), std::atoi(text.c_str() + equals + 1)};
}

Options parse(int count, char** arguments) {
  Options options;
  std::string address;
  uint16_t port = 0;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = arguments[i];
    const std::string value = arguments[i + 1];
    if (name == "--server") {
      address = value;
    } else if (name == "--port") {
      port = static_cast<uint16_t>(std::atoi(value.c_str()));
    } else if (name == "--continuous") {
      options.continuous.push_back(parse_group(value));
    } else if (name == "--hls") {
      options.hls.push_back(parse_group(value));
    } else if (name == "--receive-buffer") {
      options.server.receive_buffer = std::atoi(value.c_str());
    } else if (name == "--seconds") {
      options.seconds = std::atoll(value.c_str());
    } else if (name == "--stagger-ms") {
      options.stagger_ms = std::atoll(value.c_str());
    } else {
      misuse("unknown option " + name);
    }
  }
  if (!options.server.parse(address, port)) misuse("--server is no address: " + address);
  return options;
}

class Audience {
 public:
  Audience(int poller, const Options& options) {
    int64_t start = monotonic_ms();
    for (const Group& group : options.continuous) {
      for (int i = 0; i < group.count; i++, start += options.stagger_ms) {
        continuous_.push_back(std::make_unique<ContinuousViewer>(poller, options.server, group.path, start));
      }
    }
    for (const Group& group : options.hls) {
      for (int i = 0; i < group.count; i++, start += options.stagger_ms) {
        hls_.push_back(std::make_unique<HlsViewer>(poller, options.server, group.path, start));
      }
    }
  }

  void tick() {
    const int64_t now = monotonic_ms();
    for (auto& viewer : continuous_) viewer->on_tick(now);
    for (auto& viewer : hls_) viewer->on_tick(now);
  }

  void pause(bool paused) {
    for (auto& viewer : continuous_) viewer->pause(paused);
    for (auto& viewer : hls_) viewer->pause(paused);
  }

  void print() {
    std::printf("{\"at\":%lld,", static_cast<long long>(real_ms()));
    print_continuous();
    std::printf(",");
    print_hls();
    std::printf("}\n");
    std::fflush(stdout);
  }

 private:
  static void field(const char* name, int64_t value, bool last = false) {
    std::printf("\"%s\":%lld%s", name, static_cast<long long>(value), last ? "}" : ",");
  }

  static void add(TsCounters& sum, const TsCounters& one) {
    sum.packets += one.packets;
    sum.sync_errors += one.sync_errors;
    sum.continuity_errors += one.continuity_errors;
    sum.transport_errors += one.transport_errors;
    sum.announced_discontinuities += one.announced_discontinuities;
    sum.access_points += one.access_points;
  }

  static void print_ts(const TsCounters& ts) {
    field("packets", static_cast<int64_t>(ts.packets));
    field("syncErrors", static_cast<int64_t>(ts.sync_errors));
    field("continuityErrors", static_cast<int64_t>(ts.continuity_errors));
    field("transportErrors", static_cast<int64_t>(ts.transport_errors));
    field("announcedDiscontinuities", static_cast<int64_t>(ts.announced_discontinuities));
    field("accessPoints", static_cast<int64_t>(ts.access_points));
  }

  void print_continuous() {
    const int64_t now = monotonic_ms();
    TsCounters ts;
    int64_t connected = 0, receiving = 0, interrupted = 0, interruptions = 0, disconnects = 0, bad = 0,
            bytes = 0;
    int64_t resumed_at = 0, gap = 0, first_byte = 0, least = -1, most = 0, attempts = 0;
    for (auto& viewer : continuous_) {
      add(ts, viewer->ts());
      connected += viewer->is_connected() ? 1 : 0;
      receiving += viewer->receives(now) ? 1 : 0;
      interrupted += viewer->interrupted ? 1 : 0;
      interruptions += static_cast<int64_t>(viewer->interruptions);
      disconnects += static_cast<int64_t>(viewer->disconnects);
      attempts += static_cast<int64_t>(viewer->attempts);
      bad += static_cast<int64_t>(viewer->bad_answers);
      const auto own = static_cast<int64_t>(viewer->bytes);
      bytes += own;
      least = least < 0 ? own : std::min(least, own);
      most = std::max(most, own);
      resumed_at = std::max(resumed_at, viewer->resumed_at);
      gap = std::max(gap, viewer->longest_gap);
      viewer->longest_gap = 0;
      first_byte = std::max(first_byte, viewer->first_byte_ms);
    }
    std::printf("\"continuous\":{");
    field("viewers", static_cast<int64_t>(continuous_.size()));
    field("connected", connected);
    field("receiving", receiving);
    field("interrupted", interrupted);
    field("interruptions", interruptions);
    field("resumedAt", resumed_at);
    field("attempts", attempts);
    field("disconnects", disconnects);
    field("badAnswers", bad);
    print_ts(ts);
    field("longestGapMs", gap);
    field("slowestFirstByteMs", first_byte);
    field("leastBytes", least < 0 ? 0 : least);
    field("mostBytes", most);
    field("bytes", bytes, true);
  }

  void print_hls() {
    const int64_t now = monotonic_ms();
    TsCounters ts;
    int64_t playlists = 0, segments = 0, missed = 0, failures = 0, misaligned = 0, blind = 0, splices = 0,
            bytes = 0, stale = 0;
    int64_t reconnects = 0, least_sequence = -1, most_sequence = -1, oldest = 0;
    for (auto& viewer : hls_) {
      add(ts, viewer->ts());
      playlists += static_cast<int64_t>(viewer->playlists);
      segments += static_cast<int64_t>(viewer->segments);
      missed += static_cast<int64_t>(viewer->missed);
      failures += static_cast<int64_t>(viewer->failures);
      misaligned += static_cast<int64_t>(viewer->misaligned);
      blind += static_cast<int64_t>(viewer->without_access_point);
      splices += static_cast<int64_t>(viewer->discontinuities);
      reconnects += static_cast<int64_t>(viewer->reconnects);
      bytes += static_cast<int64_t>(viewer->bytes);
      stale += viewer->stale(now) ? 1 : 0;
      least_sequence =
          least_sequence < 0 ? viewer->last_sequence : std::min(least_sequence, viewer->last_sequence);
      most_sequence = std::max(most_sequence, viewer->last_sequence);
      oldest = oldest == 0 ? viewer->last_segment_real : std::min(oldest, viewer->last_segment_real);
    }
    std::printf("\"hls\":{");
    field("viewers", static_cast<int64_t>(hls_.size()));
    field("playlists", playlists);
    field("segments", segments);
    field("missed", missed);
    field("failures", failures);
    field("misaligned", misaligned);
    field("withoutAccessPoint", blind);
    field("discontinuities", splices);
    field("reconnects", reconnects);
    field("stale", stale);
    field("leastSequence", least_sequence);
    field("mostSequence", most_sequence);
    field("oldestSegmentAt", oldest);
    print_ts(ts);
    field("bytes", bytes, true);
  }

  std::vector<std::unique_ptr<ContinuousViewer>> continuous_;
  std::vector<std::unique_ptr<HlsViewer>> hls_;
};

int signal_descriptor() {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int number : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2}) sigaddset(&mask, number);
  sigprocmask(SIG_BLOCK, &mask, nullptr);
  return signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
}

/** Returns false when the program should end. */
bool take_signals(int descriptor, Audience& audience) {
  signalfd_siginfo info{};
  while (read(descriptor, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    if (info.ssi_signo != SIGUSR1 && info.ssi_signo != SIGUSR2) return false;
    audience.pause(info.ssi_signo == SIGUSR1);
  }
  return true;
}

void run(const Options& options) {
  const int poller = epoll_create1(EPOLL_CLOEXEC);
  const int signals = signal_descriptor();
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  epoll_ctl(poller, EPOLL_CTL_ADD, signals, &event);
  Audience audience(poller, options);
  const int64_t begin = monotonic_ms();
  int64_t next_tick = begin, next_line = begin + 1'000;
  std::vector<epoll_event> ready(512);
  while (options.seconds == 0 || monotonic_ms() - begin < options.seconds * 1'000) {
    const int64_t now = monotonic_ms();
    if (now >= next_tick) {
      audience.tick();
      next_tick = now + 20;
    }
    if (now >= next_line) {
      audience.print();
      next_line += 1'000;
    }
    const int count = epoll_wait(poller, ready.data(), static_cast<int>(ready.size()), 20);
    for (int i = 0; i < count; i++) {
      auto* client = static_cast<Client*>(ready[static_cast<size_t>(i)].data.ptr);
      if (client != nullptr) {
        client->on_event(ready[static_cast<size_t>(i)].events);
      } else if (!take_signals(signals, audience)) {
        audience.print();
        return;
      }
    }
  }
  audience.print();
}

}  // namespace
}  // namespace sluice::lab

int main(int count, char** arguments) {
  sluice::lab::run(sluice::lab::parse(count, arguments));
  return 0;
}
