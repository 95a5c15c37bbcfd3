#include "plane/receiver.h"

namespace sluice::plane {

kernel::Result<std::unique_ptr<Receiver>> Receiver::open(kernel::Reactor& reactor,
                                                         const ReceiverOptions& options,
                                                         InputCounters& counters) {
  std::unique_ptr<Receiver> receiver(new Receiver(counters));
  UdpInputOptions input = options.input;
  // One time stamp for a whole batch would hide how regularly its datagrams came.
  input.socket.coalesce = false;
  input.socket.headers = options.recording.has_value();
  if (options.recording) {
    auto recording = DatagramRecorder::open(*options.recording);
    if (!recording.ok()) return recording.error();
    receiver->recorder_.emplace(std::move(recording.value()), counters);
  }
  DatagramTap* const tap = receiver->recorder_ ? &*receiver->recorder_ : nullptr;
  auto opened = Input::open(reactor, input, *receiver, counters, tap);
  if (!opened.ok()) return opened.error();
  receiver->input_ = std::move(opened.value());
  if (options.output_fd) receiver->output_.emplace(reactor, *options.output_fd, counters);
  return receiver;
}

Receiver::~Receiver() {
  if (input_) input_->flush();
}

void Receiver::write(codec::Bytes ts, Nanos arrival) noexcept {
  monitor_.write(ts, arrival);
  if (output_) output_->write(ts);
}

}  // namespace sluice::plane
