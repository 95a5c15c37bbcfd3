// A line between two network namespaces: what goes into one TUN device comes out of the other after a delay,
// at a rate, with loss and reordering, through a bounded queue. For kernels without netem.
//
//   line --a NETNS:DEVICE --b NETNS:DEVICE [--delay-us N] [--jitter-us N] [--loss-ppm N] [--rate-kbit N]
//   [--queue-packets N]
//        [--reorder-ppm N] [--reorder-us N] [--seed N]
//
// NETNS is a file such as /run/netns/NAME. All options hold for each direction on its own. Prints `ready`
// when both devices exist; SIGUSR1 prints the counters as one JSON line, SIGINT and SIGTERM print them and
// end it.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;
constexpr size_t kLargestPacket = 65'536;

struct Options {
  std::array<std::string, 2> ends;
  int64_t delay_us = 0;
  int64_t jitter_us = 0;
  int64_t loss_ppm = 0;
  int64_t rate_kbit = 0;  // 0: as fast as it goes
  int64_t queue_packets = 1'000;
  int64_t reorder_ppm = 0;
  int64_t reorder_us = 0;  // how much longer a reordered packet is held
  int64_t seed = 1;
};

volatile std::sig_atomic_t stop_requested = 0;
volatile std::sig_atomic_t report_requested = 0;

void on_signal(int number) {
  if (number == SIGUSR1) {
    report_requested = 1;
  } else {
    stop_requested = 1;
  }
}

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "line: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * kNanosPerSecond + time.tv_nsec;
}

/** xorshift64*: the same seed loses the same packets. */
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ULL + 1) {}
  /** Even in [0, bound); 0 for bound 0. */
  int64_t below(int64_t bound) {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    const uint64_t value = (state_ * 0x2545F4914F6CDD1DULL) >> 33;
    return bound > 0 ? static_cast<int64_t>(value % static_cast<uint64_t>(bound)) : 0;
  }

 private:
  uint64_t state_;
};

/** One way through the line. */
class Direction {
 public:
  Direction(const Options& options, int in, int out, uint64_t seed)
      : options_(options), in_(in), out_(out), random_(seed) {}

  /** Takes all that waits on the incoming device. */
  void take() {
    for (int i = 0; i < 256; i++) {
      const ssize_t size = read(in_, buffer_.data(), buffer_.size());
      if (size <= 0) return;
      accept(static_cast<size_t>(size));
    }
  }

  /** Delivers what is due; returns when the next one is, or -1. */
  int64_t deliver() {
    while (!queue_.empty()) {
      const auto first = queue_.begin();
      if (first->first > now_ns()) return first->first;
      if (write(out_, first->second.data(), first->second.size()) < 0) {
        refused_++;
      } else {
        delivered_++;
      }
      queue_.erase(first);
    }
    return -1;
  }

  void print(const char* name) const {
    std::printf(
        "\"%s\":{\"taken\":%llu,\"delivered\":%llu,\"lost\":%llu,\"overflowed\":%llu,\"reordered\":%llu,"
        "\"refused\":%llu}",
        name, taken_, delivered_, lost_, overflowed_, reordered_, refused_);
  }

 private:
  void accept(size_t size) {
    taken_++;
    if (random_.below(1'000'000) < options_.loss_ppm) {
      lost_++;
      return;
    }
    if (queue_.size() >= static_cast<size_t>(options_.queue_packets)) {
      overflowed_++;
      return;
    }
    queue_.emplace(due(size), std::vector<uint8_t>(buffer_.data(), buffer_.data() + size));
  }

  int64_t due(size_t size) {
    int64_t departure = now_ns();
    if (options_.rate_kbit > 0) {
      if (free_at_ > departure) departure = free_at_;
      departure += static_cast<int64_t>(size) * 8 * 1'000'000 / options_.rate_kbit;
      free_at_ = departure;
    }
    departure += (options_.delay_us + random_.below(options_.jitter_us)) * 1'000;
    if (random_.below(1'000'000) < options_.reorder_ppm) {
      reordered_++;
      return departure + options_.reorder_us * 1'000;
    }
    // Jitter alone must not reorder: a real line is first in, first out.
    if (departure < last_due_) departure = last_due_;
    last_due_ = departure;
    return departure;
  }

  const Options& options_;
  int in_;
  int out_;
  Random random_;
  std::array<uint8_t, kLargestPacket> buffer_{};
  std::multimap<int64_t, std::vector<uint8_t>> queue_;
  int64_t free_at_ = 0;
  int64_t last_due_ = 0;
  unsigned long long taken_ = 0, delivered_ = 0, lost_ = 0, overflowed_ = 0, reordered_ = 0, refused_ = 0;
};

/** Creates DEVICE in NETNS and comes back with its descriptor; this thread stays in that namespace. */
int open_tun(const std::string& end) {
  const size_t colon = end.rfind(':');
  if (colon == std::string::npos || end.size() - colon > IFNAMSIZ) {
    errno = EINVAL;
    die("an end is NETNS:DEVICE");
  }
  const int space = open(end.substr(0, colon).c_str(), O_RDONLY | O_CLOEXEC);
  if (space < 0 || setns(space, CLONE_NEWNET) < 0) die(end.c_str());
  close(space);
  const int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tun < 0) die("/dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::memcpy(request.ifr_name, end.c_str() + colon + 1, end.size() - colon - 1);
  if (ioctl(tun, TUNSETIFF, &request) < 0) die("TUNSETIFF");
  return tun;
}

int64_t* number_option(Options& options, const std::string& name) {
  if (name == "--delay-us") return &options.delay_us;
  if (name == "--jitter-us") return &options.jitter_us;
  if (name == "--loss-ppm") return &options.loss_ppm;
  if (name == "--rate-kbit") return &options.rate_kbit;
  if (name == "--queue-packets") return &options.queue_packets;
  if (name == "--reorder-ppm") return &options.reorder_ppm;
  if (name == "--reorder-us") return &options.reorder_us;
  if (name == "--seed") return &options.seed;
  return nullptr;
}

Options parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = arguments[i];
    if (name == "--a") {
      options.ends[0] = arguments[i + 1];
    } else if (name == "--b") {
      options.ends[1] = arguments[i + 1];
    } else if (int64_t* number = number_option(options, name)) {
      *number = std::atoll(arguments[i + 1]);
    } else {
      std::fprintf(stderr, "line: unknown option %s\n", arguments[i]);
      std::exit(2);
    }
  }
  return options;
}

void print_counters(const Direction& forward, const Direction& backward) {
  std::printf("{");
  forward.print("ab");
  std::printf(",");
  backward.print("ba");
  std::printf("}\n");
  std::fflush(stdout);
}

void run(const Options& options, int a, int b) {
  const auto forward = std::make_unique<Direction>(options, a, b, static_cast<uint64_t>(options.seed));
  const auto backward = std::make_unique<Direction>(options, b, a, static_cast<uint64_t>(options.seed) + 1);
  sigset_t waiting_mask;
  sigemptyset(&waiting_mask);
  while (stop_requested == 0) {
    const int64_t first = forward->deliver();
    const int64_t second = backward->deliver();
    const int64_t due = first < 0 ? second : (second < 0 ? first : std::min(first, second));
    timespec timeout{};
    if (due >= 0) {
      const int64_t wait = std::max<int64_t>(0, due - now_ns());
      timeout = {wait / kNanosPerSecond, wait % kNanosPerSecond};
    }
    std::array<pollfd, 2> ready{pollfd{a, POLLIN, 0}, pollfd{b, POLLIN, 0}};
    const int count = ppoll(ready.data(), ready.size(), due >= 0 ? &timeout : nullptr, &waiting_mask);
    if (count > 0 && ready[0].revents != 0) forward->take();
    if (count > 0 && ready[1].revents != 0) backward->take();
    if (report_requested != 0) {
      report_requested = 0;
      print_counters(*forward, *backward);
    }
  }
  print_counters(*forward, *backward);
}

/** Signals are only taken while waiting, so that none is missed between the check and the wait. */
void catch_signals() {
  sigset_t mask;
  sigemptyset(&mask);
  struct sigaction action {};
  action.sa_handler = on_signal;
  for (const int number : {SIGINT, SIGTERM, SIGUSR1}) {
    sigaddset(&mask, number);
    sigaction(number, &action, nullptr);
  }
  sigprocmask(SIG_BLOCK, &mask, nullptr);
}

}  // namespace

int main(int count, char** arguments) {
  const Options options = parse(count, arguments);
  catch_signals();
  const int a = open_tun(options.ends[0]);
  const int b = open_tun(options.ends[1]);
  std::printf("ready\n");
  std::fflush(stdout);
  run(options, a, b);
  return 0;
}
