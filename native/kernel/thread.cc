#include "kernel/thread.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace sluice::kernel {

namespace {

/** `struct sched_attr` of sched_setattr(2), first version; glibc 2.36 has none. */
struct SchedulingAttributes {
  std::uint32_t size = sizeof(SchedulingAttributes);
  std::uint32_t policy = 0;  // SCHED_OTHER
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  /** With SCHED_OTHER the slice asked for, ns; 0.1 ms is the least. */
  std::uint64_t runtime = 100'000;
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
};

constexpr int kNice = -15;

}  // namespace

void prefer_latency() noexcept {
  // Wake-ups are wanted when they are due, not up to 50 us later as by default.
  prctl(PR_SET_TIMERSLACK, 1000UL);
  SchedulingAttributes attributes;
  attributes.nice = kNice;
  if (syscall(SYS_sched_setattr, 0, &attributes, 0U) == 0) return;
  attributes.nice = getpriority(PRIO_PROCESS, 0);
  syscall(SYS_sched_setattr, 0, &attributes, 0U);
}

bool stay_on_cpu(unsigned cpu) noexcept {
  cpu_set_t only;
  CPU_ZERO(&only);
  // Beyond the set's size the macro sets nothing, and an empty set is refused: EINVAL either way.
  CPU_SET(cpu, &only);
  return sched_setaffinity(0, sizeof only, &only) == 0;
}

}  // namespace sluice::kernel
