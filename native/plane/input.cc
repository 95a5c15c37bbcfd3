#include "plane/input.h"

#include "plane/repaired_input.h"
#include "plane/udp_input.h"

namespace sluice::plane {

namespace {

template <class T>
kernel::Result<std::unique_ptr<Input>> as_input(kernel::Result<std::unique_ptr<T>> opened) {
  if (!opened.ok()) return std::move(opened.error());
  return std::unique_ptr<Input>(std::move(opened.value()));
}

}  // namespace

kernel::Result<std::unique_ptr<Input>> Input::open(kernel::Reactor& reactor, const UdpInputOptions& options,
                                                   TsSink& sink, InputCounters& counters, DatagramTap* tap) {
  UdpInputOptions all = options;
  if (all.numbering == codec::Numbering::option) {
    // Of datagrams put together the options of the first are all that is left.
    all.socket.headers = true;
    all.socket.coalesce = false;
  }
  if (all.repair) return as_input(RepairedInput::open(reactor, all, sink, counters, tap));
  return as_input(UdpInput::open(reactor, all, sink, counters, tap));
}

}  // namespace sluice::plane
