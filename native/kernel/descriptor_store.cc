#include "kernel/descriptor_store.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "kernel/notify.h"
#include "kernel/unix_address.h"

namespace sluice::kernel {

namespace {

// One message each way, SOCK_SEQPACKET: a byte, then a name; a descriptor beside it where there is one.
// An answer to `all` is one `item` for each (`used` where another client has it), and a status at the end; to
// the others a status.
constexpr std::uint8_t kPut = 1;
constexpr std::uint8_t kRemove = 2;
constexpr std::uint8_t kAll = 3;
constexpr std::uint8_t kItem = 4;
constexpr std::uint8_t kUsed = 5;
constexpr std::uint8_t kDone = 16;
constexpr std::uint8_t kFull = 17;
constexpr std::uint8_t kRefused = 18;

constexpr std::size_t kLongestName = 64;

constexpr timeval kStartPatience{2, 0};
/** Of what is asked while packets are routed: the holder only copies a descriptor. */
constexpr timeval kPatience{0, 500'000};

struct KeeperMessage {
  std::uint8_t what = 0;
  std::string name;
  Fd fd;
};

bool send_message(int socket, std::uint8_t what, const std::string& name, int fd) noexcept {
  std::array<iovec, 2> pieces{iovec{&what, 1}, iovec{const_cast<char*>(name.data()), name.size()}};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) >= 0;
}

/** Takes the first descriptor of a message and closes the others. */
Fd take_descriptor(msghdr& message) noexcept {
  Fd first;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
      Fd owned(fd);
      if (!first) first = std::move(owned);
    }
  }
  return first;
}

/** None at the end of the connection, on failure, and for what is too long. */
std::optional<KeeperMessage> receive_message(int socket) {
  std::array<char, 1 + kLongestName + 1> bytes{};
  // Room for as many as one message can have: what does not fit is closed by the kernel, but tells of it.
  alignas(cmsghdr) std::array<char, CMSG_SPACE(8 * sizeof(int))> control{};
  iovec piece{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (n <= 0) return std::nullopt;
  KeeperMessage out;
  out.fd = take_descriptor(message);
  if (n > static_cast<ssize_t>(1 + kLongestName) || (message.msg_flags & MSG_CTRUNC) != 0)
    return std::nullopt;
  out.what = static_cast<std::uint8_t>(bytes[0]);
  out.name.assign(bytes.data() + 1, static_cast<std::size_t>(n) - 1);
  return out;
}

void set_patience(int socket, const timeval& patience) noexcept {
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

std::optional<Error> check_name(const std::string& name) {
  if (is_kept_name(name)) return std::nullopt;
  return Error{"USAGE", "keeping a descriptor: expected a name of 1 to 64 letters, digits, `.`, `_` and `-`"};
}

Error unreachable(const std::string& why) {
  return {"KEEPER_UNREACHABLE", "the keeper of descriptors does not answer: " + why};
}

Error full(const std::string& name) {
  return {"KEEPER_FULL", "the keeper of descriptors has no room for " + name};
}

/** Descriptors give power over the kernel's routes: they are for processes of this user only. */
std::optional<uid_t> foreign_user(int socket) noexcept {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid())
    return std::nullopt;
  return peer.uid;
}

/** A socket of this user that nobody listens at any more: whoever is ended by a signal leaves it. */
bool is_left_over(const UnixAddress& at) noexcept {
  struct stat found {};
  if (lstat(at.address.sun_path, &found) != 0 || !S_ISSOCK(found.st_mode) || found.st_uid != geteuid())
    return false;
  const Fd probe(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return ::connect(probe.get(), at.get(), at.size) != 0 && errno == ECONNREFUSED;
}

}  // namespace

bool is_kept_name(const std::string& name) noexcept {
  const auto allowed = [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= kLongestName && std::all_of(name.begin(), name.end(), allowed);
}

ServiceManagerStore::ServiceManagerStore(std::string socket, std::size_t most,
                                         std::span<const KeptDescriptor> found)
    : socket_(std::move(socket)), most_(most) {
  for (const KeptDescriptor& one : found) names_.insert(one.name);
}

std::optional<Error> ServiceManagerStore::put(const std::string& name, int fd) {
  if (auto error = check_name(name)) return error;
  if (most_ != 0 && names_.size() >= most_ && !names_.contains(name)) return full(name);
  if (auto error = remove(name)) return error;
  // Without FDPOLL=0 it lets go of a raw socket that has met an ICMP error.
  auto failed = notify(socket_, "FDSTORE=1\nFDPOLL=0\nFDNAME=" + name, std::span(&fd, 1));
  if (failed) return unreachable(failed->message);
  names_.insert(name);
  return std::nullopt;
}

std::optional<Error> ServiceManagerStore::remove(const std::string& name) {
  if (auto error = check_name(name)) return error;
  names_.erase(name);
  auto failed = notify(socket_, "FDSTOREREMOVE=1\nFDNAME=" + name, {});
  return failed ? std::optional(unreachable(failed->message)) : std::nullopt;
}

Result<std::unique_ptr<HolderStore>> HolderStore::connect(const std::string& path) {
  const auto to = UnixAddress::of(path);
  if (!to)
    return Error{"ADDRESS_INVALID",
                 "the keeper's socket: expected an absolute path, or one that begins with @"};
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return system_error("the keeper's socket");
  set_patience(socket.get(), kStartPatience);
  if (::connect(socket.get(), to->get(), to->size) != 0)
    return unreachable(path + ": " + std::strerror(errno));
  if (const auto user = foreign_user(socket.get()))
    return Error{"KEEPER_FOREIGN", path + ": a program of user " + std::to_string(*user) +
                                       " listens there, who is not ours (" + std::to_string(geteuid()) +
                                       "): it was given nothing"};
  return std::unique_ptr<HolderStore>(new HolderStore(std::move(socket)));
}

Error HolderStore::give_up(const std::string& why) {
  socket_.reset();
  return unreachable(why);
}

std::optional<Error> HolderStore::ask(std::uint8_t what, const std::string& name, int fd) {
  if (!socket_) return unreachable("it was given up");
  set_patience(socket_.get(), kPatience);
  if (!send_message(socket_.get(), what, name, fd)) return give_up(std::strerror(errno));
  const auto answer = receive_message(socket_.get());
  if (!answer) return give_up("no answer");
  if (answer->what == kFull) return full(name);
  return answer->what == kDone ? std::nullopt : std::optional(unreachable("it refused " + name));
}

std::optional<Error> HolderStore::put(const std::string& name, int fd) {
  if (auto error = check_name(name)) return error;
  return ask(kPut, name, fd);
}

std::optional<Error> HolderStore::remove(const std::string& name) {
  if (auto error = check_name(name)) return error;
  return ask(kRemove, name, -1);
}

Result<std::vector<KeptDescriptor>> HolderStore::all() {
  if (!socket_) return unreachable("it was given up");
  set_patience(socket_.get(), kStartPatience);
  if (!send_message(socket_.get(), kAll, "", -1)) return give_up(std::strerror(errno));
  std::vector<KeptDescriptor> list;
  for (;;) {
    auto answer = receive_message(socket_.get());
    if (!answer) return give_up("no answer");
    if (answer->what == kDone) return list;
    if ((answer->what != kItem && answer->what != kUsed) || !answer->fd)
      return give_up("an answer that is none");
    list.push_back({std::move(answer->name), std::move(answer->fd), answer->what == kUsed});
  }
}

Result<std::unique_ptr<DescriptorHolder>> DescriptorHolder::listen(const Options& options) {
  const std::string what = "keeping descriptors at " + options.path;
  const auto at = UnixAddress::of(options.path);
  if (!at) return Error{"ADDRESS_INVALID", what + ": expected an absolute path, or one that begins with @"};
  Fd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  Fd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!listener || !event) return system_error(what);
  if (::bind(listener.get(), at->get(), at->size) != 0) {
    if (errno != EADDRINUSE) return system_error(what);
    auto other = HolderStore::connect(options.path);
    if (other.ok()) return Error{"ADDRESS_IN_USE", what + ": another keeper is there"};
    if (!is_left_over(*at)) return std::move(other.error());
    unlink(options.path.c_str());
    if (::bind(listener.get(), at->get(), at->size) != 0) return system_error(what);
  }
  if (options.path[0] == '/') chmod(options.path.c_str(), S_IRUSR | S_IWUSR);
  if (::listen(listener.get(), kMostClients) != 0) return system_error(what);
  return std::unique_ptr<DescriptorHolder>(
      new DescriptorHolder(options, std::move(listener), std::move(event)));
}

DescriptorHolder::~DescriptorHolder() {
  if (options_.path[0] == '/') unlink(options_.path.c_str());
}

void DescriptorHolder::stop() noexcept {
  const std::uint64_t one = 1;
  while (::write(event_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void DescriptorHolder::run() {
  Nanos alone_since = monotonic_now();
  for (;;) {
    std::vector<pollfd> wanted{{event_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    for (const Fd& client : clients_) wanted.push_back({client.get(), POLLIN, 0});
    const Nanos left = emptied_ ? 0 : std::max<Nanos>(0, alone_since + options_.patience - monotonic_now());
    // Rounded up; who stands at the door when the time is over is let in.
    const int wait = clients_.empty() ? static_cast<int>((left + kMillisecond - 1) / kMillisecond) : -1;
    const int ready = ::poll(wanted.data(), wanted.size(), wait);
    if (ready < 0 && errno != EINTR) return;
    if (wanted[0].revents != 0 || (ready == 0 && left == 0)) return;
    // From the last to the first, since a client that is dropped moves those behind it.
    for (std::size_t i = clients_.size(); i-- > 0;) {
      if (wanted[2 + i].revents == 0 || serve(clients_[i].get())) continue;
      drop(i);
      alone_since = monotonic_now();
    }
    if (wanted[1].revents != 0) accept_one();
  }
}

void DescriptorHolder::accept_one() {
  Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client || foreign_user(client.get()) || clients_.size() == kMostClients) return;
  set_patience(client.get(), kStartPatience);
  clients_.push_back(std::move(client));
}

void DescriptorHolder::drop(std::size_t client) {
  for (auto& [name, one] : kept_)
    if (one.client == clients_[client].get()) one.client = kNobody;
  clients_.erase(clients_.begin() + static_cast<std::ptrdiff_t>(client));
}

bool DescriptorHolder::serve(int client) {
  auto message = receive_message(client);
  if (!message) return false;
  switch (message->what) {
    case kPut:
      return send_message(client, keep(message->name, std::move(message->fd), client), "", -1);
    case kRemove:
      emptied_ = (kept_.erase(message->name) != 0 || emptied_) && kept_.empty();
      return send_message(client, kDone, "", -1);
    case kAll:
      return hand_over(client);
    default:
      return send_message(client, kRefused, "", -1);
  }
}

std::uint8_t DescriptorHolder::keep(const std::string& name, Fd fd, int client) {
  if (!fd || !is_kept_name(name)) return kRefused;
  if (kept_.size() >= options_.most && !kept_.contains(name)) return kFull;
  kept_[name] = {std::move(fd), client};
  emptied_ = false;
  return kDone;
}

bool DescriptorHolder::hand_over(int client) {
  const auto sent = [client](auto& one) {
    Kept& kept = one.second;
    if (kept.client == kNobody) kept.client = client;
    return send_message(client, kept.client == client ? kItem : kUsed, one.first, kept.fd.get());
  };
  return std::all_of(kept_.begin(), kept_.end(), sent) && send_message(client, kDone, "", -1);
}

}  // namespace sluice::kernel
