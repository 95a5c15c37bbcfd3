// Descriptors that outlive this process: kept by the service manager, or by a small process of ours.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "kernel/fd.h"
#include "kernel/reactor.h"
#include "kernel/result.h"

namespace sluice::kernel {

/** A descriptor that was kept, with its name. */
struct KeptDescriptor {
  std::string name;
  Fd fd;
  /** Another process that is there has put or fetched it. */
  bool in_use = false;
};

/** 1 to 64 letters, digits, `.`, `_` and `-`: what both keepers can hold. */
[[nodiscard]] bool is_kept_name(const std::string& name) noexcept;

/** Keeps duplicates of descriptors by name; what they refer to (a routing table, joins) goes on meanwhile. */
class DescriptorStore {
 public:
  virtual ~DescriptorStore() = default;
  /** Keeps a duplicate; one of the same name is let go. `fd` stays the caller's. USAGE for a name that is not
   * one, KEEPER_UNREACHABLE, KEEPER_FULL. */
  virtual std::optional<Error> put(const std::string& name, int fd) = 0;
  /** Nothing when there is none of that name. KEEPER_UNREACHABLE. */
  virtual std::optional<Error> remove(const std::string& name) = 0;
};

/**
 * systemd keeps them (sd_pid_notify_with_fds(3), FDSTORE=1; FileDescriptorStoreMax= of the unit says how
 * many), and hands them over by LISTEN_FDS and LISTEN_FDNAMES at the next start. It does not answer, and what
 * is beyond its limit it drops: so they are counted here.
 */
class ServiceManagerStore final : public DescriptorStore {
 public:
  /** `socket`: what NOTIFY_SOCKET said. `most`: how many it takes of those that are put here; 0: it does not
   * say. `found`: what it has of them. */
  explicit ServiceManagerStore(std::string socket, std::size_t most = 0,
                               std::span<const KeptDescriptor> found = {});
  std::optional<Error> put(const std::string& name, int fd) override;
  std::optional<Error> remove(const std::string& name) override;

 private:
  const std::string socket_;
  const std::size_t most_;
  std::set<std::string> names_;
};

/** The client of a DescriptorHolder. One that has not answered in time once counts as gone from then on. */
class HolderStore final : public DescriptorStore {
 public:
  /** `path`: as of DescriptorHolder::listen(). Waits for two seconds at most. ADDRESS_INVALID,
   * KEEPER_UNREACHABLE, KEEPER_FOREIGN: who listens there is of another user. */
  static Result<std::unique_ptr<HolderStore>> connect(const std::string& path);
  /** These two wait for half a second at most. */
  std::optional<Error> put(const std::string& name, int fd) override;
  std::optional<Error> remove(const std::string& name) override;
  /** Duplicates of all that it keeps, and goes on keeping; what is not in use is in ours from now on. Waits
   * as connect() does. KEEPER_UNREACHABLE. */
  Result<std::vector<KeptDescriptor>> all();

 private:
  explicit HolderStore(Fd socket) : socket_(std::move(socket)) {}
  std::optional<Error> ask(std::uint8_t what, const std::string& name, int fd);
  /** What it says later would be taken for the answer to another question. */
  Error give_up(const std::string& why);

  Fd socket_;
};

/**
 * Keeps descriptors for processes of the same user that come and go: the loop of a process (or thread) of its
 * own. What comes from a client is checked; a client that does not read its answers is dropped.
 */
class DescriptorHolder {
 public:
  struct Options {
    /** An absolute path, or `@` and a name in the abstract namespace. */
    std::string path;
    /** Most descriptors kept. */
    std::size_t most = 512;
    /** Ends after nobody was connected for so long: whoever does not come back wants nothing kept. At once
     * when all that it kept was taken away again. */
    Nanos patience = 60 * kSecond;
  };
  /** Takes the place of a holder whose process is gone. ADDRESS_INVALID, SYSTEM_CALL; ADDRESS_IN_USE: one of
   * this user is there; KEEPER_FOREIGN: somebody else; KEEPER_UNREACHABLE: something that does not listen. */
  static Result<std::unique_ptr<DescriptorHolder>> listen(const Options& options);
  DescriptorHolder(const DescriptorHolder&) = delete;
  DescriptorHolder& operator=(const DescriptorHolder&) = delete;
  ~DescriptorHolder();

  /** Serves until stop(), the end of patience, or of what it is there for. */
  void run();
  /** From any thread. */
  void stop() noexcept;

 private:
  /** The daemon, the one that takes its place, and somebody who looks. */
  static constexpr std::size_t kMostClients = 4;

  DescriptorHolder(Options options, Fd listener, Fd event)
      : options_(std::move(options)), listener_(std::move(listener)), event_(std::move(event)) {}
  void accept_one();
  /** False when the client is to be dropped. */
  bool serve(int client);
  void drop(std::size_t client);
  std::uint8_t keep(const std::string& name, Fd fd, int client);
  bool hand_over(int client);

  struct Kept {
    Fd fd;
    /** Who has put or fetched it; kNobody when that one is gone. */
    int client = kNobody;
  };
  static constexpr int kNobody = -1;

  const Options options_;
  Fd listener_;
  Fd event_;
  std::vector<Fd> clients_;
  std::map<std::string, Kept> kept_;
  /** The last one was taken away, and none has come since. */
  bool emptied_ = false;
};

}  // namespace sluice::kernel
