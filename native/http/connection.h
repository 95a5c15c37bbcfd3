// One viewer's connection: requests one after the other, answers as fast as the viewer takes them.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "http/body.h"
#include "http/passage.h"
#include "http/slowness.h"
#include "kernel/address.h"
#include "kernel/fd.h"
#include "kernel/reactor.h"
#include "objects/link.h"
#include "secure/transport.h"

namespace sluice::http {

class Server;

/**
 * Reads a request, answers it, reads the next. While an answer is under way no further request is read, so a
 * client that pipelines is held by TCP. Owned by its Server; on the loop thread.
 */
class Connection final : public kernel::Disposable,
                         public objects::Link,
                         private kernel::Watcher,
                         private AnswerListener {
 public:
  Connection(Server& server, kernel::Fd socket, const kernel::Address& remote, std::uint64_t id);
  /** One that comes from another loop. */
  Connection(Server& server, Passage& passage);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() override;

  /** False when the socket could not be watched, or there is no memory for TLS. */
  bool start(const std::shared_ptr<const secure::ServerContext>& tls) noexcept;
  /** Counts for as long as it lives. After start(). */
  void seat(Admission admission) noexcept { admission_ = std::move(admission); }
  /** Answers the request with which it came from another loop: with the stream, where it is not 0. After
   * start(). */
  void resume(std::uint64_t stream);
  /** Answers 503, or 429 where it is the client alone that has too many connections, whatever is asked; and
   * closes. After start(), without TLS. */
  void refuse(bool full);
  /** Goes on with an answer; called by the server in turn. */
  void on_turn() noexcept;
  /** Ends what has lasted too long; called by the server once a second. */
  void sweep(kernel::Nanos now) noexcept;

  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
  [[nodiscard]] bool refused() const noexcept { return refused_; }
  [[nodiscard]] std::string remote() const { return remote_.text(); }
  [[nodiscard]] const std::string& user_agent() const noexcept { return user_agent_; }
  [[nodiscard]] kernel::Nanos accepted() const noexcept { return accepted_; }
  [[nodiscard]] std::uint64_t bytes_sent() const noexcept { return bytes_sent_; }
  [[nodiscard]] const Body* body() const noexcept { return answer_.body.get(); }
  [[nodiscard]] std::uint64_t segmented_stream() const noexcept { return segmented_stream_; }
  [[nodiscard]] kernel::Nanos segmented_time() const noexcept { return segmented_time_; }

 private:
  /** What goes out next, gathered from where it lies. */
  struct Gathered {
    std::array<codec::Bytes, 4> pieces;
    std::size_t count = 0;
    /** Why there is nothing, if there is nothing. */
    Body::Next next = Body::Next::end;
    /** There is more, for which others are not to wait. */
    bool cut = false;
    void add(codec::Bytes piece) noexcept;
  };

  void on_ready(std::uint32_t events) noexcept override;
  void handshake() noexcept;
  void on_answer_progress() noexcept override;
  void read_requests() noexcept;
  void read_once() noexcept;
  void take_input(codec::Bytes input) noexcept;
  codec::Bytes take_request(codec::Bytes input) noexcept;
  void answer(const Request& request);
  void respond(const Request& request);
  void take(Answer answer);
  void depart() noexcept;
  [[nodiscard]] bool over_limit(bool keep_alive);
  void answer_error(unsigned status);
  void begin(Answer answer, bool head_only, bool keep_alive);
  void take_pending() noexcept;
  void start_answer();
  void make_head();
  void pump() noexcept;
  void gather(Gathered& out) noexcept;
  void gather_body(Gathered& out) noexcept;
  void frame(Gathered& out, const Body::Piece& piece) noexcept;
  /** False when the connection has been closed. */
  bool send(std::span<const codec::Bytes> pieces) noexcept;
  void account(std::size_t sent) noexcept;
  void wait_for_body() noexcept;
  void sweep_answer(kernel::Nanos now) noexcept;
  [[nodiscard]] std::uint64_t taken() const noexcept;
  void log_answer() noexcept;
  void finish() noexcept;
  void say_end() noexcept;
  void abort() noexcept;
  void close() noexcept;
  void interest(std::uint32_t events) noexcept;

  Server& server_;
  secure::Transport transport_;
  const kernel::Address remote_;
  const std::uint64_t id_;
  const kernel::Nanos accepted_;
  RequestParser parser_;
  /** Bytes read beyond the request that is being answered. */
  std::string pending_input_;
  std::string user_agent_;

  Admission admission_;
  /** Where the answer is to the request that was read. */
  std::optional<Elsewhere> bound_for_;
  bool refused_ = false;
  bool handshaking_ = false;
  bool answering_ = false;
  bool keep_alive_ = false;
  bool head_only_ = false;
  bool blocked_ = false;
  bool input_ended_ = false;
  bool closed_ = false;
  bool lingering_ = false;
  bool taking_input_ = false;
  std::uint32_t watched_ = 0;
  Answer answer_;
  std::string head_;
  std::size_t head_sent_ = 0;
  std::size_t text_sent_ = 0;
  /** Of a chunked body: the line before the chunk (RFC 9112 section 7.1), and what is left of the chunk
   * itself. */
  std::string chunk_line_;
  std::size_t chunk_line_sent_ = 0;
  std::size_t chunk_left_ = 0;
  bool chunked_ = false;
  bool any_chunk_ = false;
  bool last_chunk_ = false;
  bool any_body_ = false;
  std::uint64_t bytes_sent_ = 0;
  kernel::Nanos deadline_ = 0;
  Slowness slowness_;
  /** When the answer under way was asked for and had its first byte sent, or 0; and bytes_sent_ before it. */
  kernel::Nanos asked_ = 0;
  kernel::Nanos first_byte_ = 0;
  std::uint64_t sent_before_ = 0;
  std::uint64_t segmented_stream_ = 0;
  kernel::Nanos segmented_time_ = 0;
};

}  // namespace sluice::http
