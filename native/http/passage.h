// A connection on its way from one loop to another.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "http/commons.h"
#include "http/request_parser.h"
#include "kernel/address.h"
#include "kernel/reactor.h"
#include "secure/transport.h"

namespace sluice::http {

/** Between two answers: what is known of the connection, and the request that is answered where it goes. */
struct Passage {
  Admission admission;
  /** With its TLS session, of which nothing waits to be sent. */
  secure::Transport transport;
  kernel::Address remote;
  std::uint64_t id;
  kernel::Nanos accepted;
  std::uint64_t bytes_sent;
  /** What is followed there; 0: what the request says. */
  std::uint64_t stream;
  /** Complete, and counted against the limits. */
  Request request;
  std::string target;
  /** Bytes that were read behind it. */
  std::string pending_input;
};

/** Brings a connection to another loop; what cannot arrive there is closed. */
using SendOff = std::function<void(std::uint32_t loop, std::unique_ptr<Passage> passage)>;

}  // namespace sluice::http
