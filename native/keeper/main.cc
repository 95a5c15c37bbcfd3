// A small process that keeps descriptors for a daemon that is restarted: sluice-keeper PATH MOST SECONDS.
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "kernel/descriptor_store.h"

namespace {

constexpr int kUsage = 2;

/** 0 for what is no number from 1 to `most`. */
unsigned long number_of(const char* text, unsigned long most) {
  char* end = nullptr;
  const unsigned long value = std::strtoul(text, &end, 10);
  return *end == '\0' && value <= most ? value : 0;
}

}  // namespace

int main(int count, char** arguments) {
  const unsigned long most = count == 4 ? number_of(arguments[2], 65'536) : 0;
  const unsigned long seconds = count == 4 ? number_of(arguments[3], 86'400) : 0;
  if (most == 0 || seconds == 0) {
    std::fputs("usage: sluice-keeper PATH DESCRIPTORS SECONDS\n", stderr);
    return kUsage;
  }
  // Whoever ends the daemon by its terminal or session does not mean what it has left here.
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  auto holder = sluice::kernel::DescriptorHolder::listen(
      {arguments[1], most, static_cast<sluice::kernel::Nanos>(seconds) * sluice::kernel::kSecond});
  if (!holder.ok()) {
    std::fprintf(stderr, "%s: %s\n", holder.error().code, holder.error().message.c_str());
    return 1;
  }
  // Whoever has started it waits for this line.
  std::puts("ready");
  std::fflush(stdout);
  holder.value()->run();
  return 0;
}
