// How a connection goes to another loop, and comes from one.
#include "http/connection.h"
#include "http/server.h"

namespace sluice::http {

Connection::Connection(Server& server, Passage& passage)
    : server_(server),
      transport_(std::move(passage.transport)),
      remote_(passage.remote),
      id_(passage.id),
      accepted_(passage.accepted),
      parser_(server.options().header_size),
      pending_input_(std::move(passage.pending_input)),
      admission_(std::move(passage.admission)),
      bytes_sent_(passage.bytes_sent) {
  parser_.take(std::move(passage.request), std::move(passage.target));
  user_agent_ = parser_.request().user_agent;
}

void Connection::resume(std::uint64_t stream) {
  if (stream != 0)
    take(server_.router().follow(stream));
  else
    respond(parser_.request());
  // What was read behind the request may have been answered, and be gone with the connection, already.
  if (bound_for_ && !closed_) depart();
}

/** The loop that has the answer takes over, with all that was read of this connection. */
void Connection::depart() noexcept {
  server_.reactor().unwatch(transport_.get(), *this);
  watched_ = 0;
  closed_ = true;
  answering_ = false;
  answer_ = {};
  auto passage = std::make_unique<Passage>(
      Passage{std::move(admission_), std::move(transport_), remote_, id_, accepted_, bytes_sent_,
              bound_for_->stream, parser_.request(), parser_.target(), std::move(pending_input_)});
  server_.forget(*this);
  server_.reactor().dispose(this);
  server_.send_off(bound_for_->loop, std::move(passage));
}

}  // namespace sluice::http
