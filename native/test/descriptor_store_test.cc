// Descriptors and notes that outlive whoever gave them.
#include "kernel/descriptor_store.h"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <map>

#include "kernel/kept_name.h"
#include "kernel/kept_note.h"
#include "kernel/unix_address.h"
#include "test/namespaces.h"

using namespace sluice;
using kernel::DescriptorHolder;
using kernel::Fd;
using kernel::HolderStore;
using kernel::KeptNote;
using test::Child;
using test::eventually;

namespace {

/** A folder of its own, and a holder in a process of its own. */
class Holding {
 public:
  explicit Holding(std::size_t most = 8, kernel::Nanos patience = 60 * kernel::kSecond)
      : folder_(make_folder()) {
    start(most, patience);
  }
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;
  ~Holding() {
    child_.reset();
    unlink(path().c_str());
    rmdir(folder_.c_str());
  }
  void start(std::size_t most = 8, kernel::Nanos patience = 60 * kernel::kSecond) {
    child_ = std::make_unique<Child>([&] {
      auto holder = DescriptorHolder::listen({path(), most, patience});
      if (!holder.ok()) return 1;
      holder.value()->run();
      return 0;
    });
    REQUIRE(eventually([this] { return HolderStore::connect(path()).ok(); }));
  }
  [[nodiscard]] std::string path() const { return folder_ + "/keeper"; }
  [[nodiscard]] Child& process() { return *child_; }
  [[nodiscard]] std::unique_ptr<HolderStore> client() const {
    auto store = HolderStore::connect(path());
    REQUIRE(store.ok());
    return std::move(store.value());
  }

 private:
  static std::string make_folder() {
    std::string name = "/tmp/sluice-holder-XXXXXX";
    REQUIRE(mkdtemp(name.data()) != nullptr);
    return name;
  }

  std::string folder_;
  std::unique_ptr<Child> child_;
};

/** A file in memory that says `text`. */
Fd text_file(const std::string& text) {
  Fd fd(memfd_create("test", MFD_CLOEXEC));
  REQUIRE(::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  return fd;
}

std::string text_of(const Fd& fd) {
  std::array<char, 64> bytes{};
  const ssize_t n = ::pread(fd.get(), bytes.data(), bytes.size(), 0);
  return n < 0 ? "" : std::string(bytes.data(), static_cast<std::size_t>(n));
}

/** Names and what their descriptors say. */
std::map<std::string, std::string> contents(HolderStore& store) {
  auto all = store.all();
  REQUIRE(all.ok());
  std::map<std::string, std::string> found;
  for (const auto& one : all.value()) found[one.name] = text_of(one.fd);
  return found;
}

std::string code(const std::optional<kernel::Error>& error) {
  return error ? error->code : "";
}

}  // namespace

TEST_CASE("keeper: descriptors come back by their names, whoever asks next") {
  const Holding holding;
  {
    const auto store = holding.client();
    CHECK(contents(*store).empty());
    CHECK_FALSE(store->put("routing4", text_file("one").get()));
    CHECK_FALSE(store->put("joins4-0", text_file("two").get()));
    CHECK_FALSE(store->put("gone", text_file("three").get()));
    CHECK_FALSE(store->put("routing4", text_file("instead").get()));
    CHECK_FALSE(store->remove("gone"));
    CHECK_FALSE(store->remove("never"));
  }
  const auto next = holding.client();
  const std::map<std::string, std::string> expected{{"joins4-0", "two"}, {"routing4", "instead"}};
  CHECK(contents(*next) == expected);
  CHECK(contents(*next) == expected);
}

TEST_CASE("keeper: bounded, and what is wrong is refused without harm to the others") {
  const Holding holding(2);
  const auto store = holding.client();
  const Fd file = text_file("x");
  CHECK(code(store->put("", file.get())) == "USAGE");
  CHECK(code(store->put("with space", file.get())) == "USAGE");
  CHECK(code(store->put("colon:", file.get())) == "USAGE");
  CHECK(code(store->put(std::string(65, 'a'), file.get())) == "USAGE");
  CHECK_FALSE(store->put(std::string(64, 'a'), file.get()));
  CHECK(code(store->put("nothing", -1)) == "KEEPER_UNREACHABLE");
  CHECK_FALSE(store->put("b", file.get()));
  CHECK(code(store->put("c", file.get())) == "KEEPER_FULL");
  CHECK_FALSE(store->put("b", text_file("again").get()));
  CHECK_FALSE(store->remove("b"));
  CHECK_FALSE(store->put("c", file.get()));

  // Somebody who speaks otherwise.
  const auto to = kernel::UnixAddress::of(holding.path());
  for (const std::string& message : {std::string("\x63xyz"), std::string(200, 'a'), std::string("\x01"),
                                     std::string("\x01no/name"), std::string("\x02")}) {
    const Fd stranger(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(stranger.get(), to->get(), to->size) == 0);
    REQUIRE(::send(stranger.get(), message.data(), message.size(), 0) > 0);
    std::array<char, 64> answer{};
    CHECK(::recv(stranger.get(), answer.data(), answer.size(), 0) <= 1);
  }
  const std::map<std::string, std::string> expected{{std::string(64, 'a'), "x"}, {"c", "x"}};
  CHECK(contents(*store) == expected);
}

TEST_CASE("keeper: only one at a place, and the next takes the place of one that was killed") {
  Holding holding;
  const auto second = DescriptorHolder::listen({holding.path(), 8, kernel::kSecond});
  CHECK_FALSE(second.ok());
  const auto store = holding.client();
  holding.process().kill();
  CHECK(code(store->put("a", text_file("a").get())) == "KEEPER_UNREACHABLE");
  CHECK_FALSE(store->all().ok());
  CHECK_FALSE(HolderStore::connect(holding.path()).ok());
  holding.start();
  CHECK(contents(*holding.client()).empty());
  CHECK(HolderStore::connect("relative").error().code == std::string("ADDRESS_INVALID"));
}

TEST_CASE("keeper: ends when nobody has come for as long as it was told") {
  Holding holding(8, 1500 * kernel::kMillisecond);
  {
    const auto store = holding.client();
    CHECK_FALSE(store->put("a", text_file("a").get()));
  }
  CHECK(holding.process().wait() == 0);
}

TEST_CASE("keeper: ends at once when all was taken away, and not while it keeps anything") {
  Holding holding(8, 3600 * kernel::kSecond);
  {
    const auto store = holding.client();
    CHECK_FALSE(store->put("a", text_file("a").get()));
    CHECK_FALSE(store->remove("a"));
    CHECK_FALSE(store->remove("never"));
    CHECK_FALSE(store->put("b", text_file("b").get()));
    CHECK_FALSE(store->remove("c"));
  }
  // Whoever gave it is gone; what it gave is not.
  CHECK(contents(*holding.client()) == std::map<std::string, std::string>{{"b", "b"}});
  {
    const auto store = holding.client();
    CHECK_FALSE(store->remove("b"));
    CHECK(contents(*store).empty());
    CHECK_FALSE(store->put("c", text_file("c").get()));
    CHECK_FALSE(store->remove("c"));
  }
  REQUIRE(eventually([&] { return !HolderStore::connect(holding.path()).ok(); }));
  CHECK(holding.process().wait() == 0);
}

TEST_CASE("keeper: another user gets nothing") {
  if (geteuid() != 0) {
    MESSAGE("skipped: only root can become another user");
    return;
  }
  const Holding holding;
  const auto store = holding.client();
  CHECK_FALSE(store->put("a", text_file("a").get()));
  // Also where the permissions of the path would let him in.
  Child other([&] {
    if (chmod(holding.path().c_str(), 0777) != 0) return 3;
    std::string folder = holding.path();
    folder.resize(folder.rfind('/'));
    if (chmod(folder.c_str(), 0755) != 0 || setuid(65534) != 0) return 2;
    auto connected = HolderStore::connect(holding.path());
    return connected.ok() && connected.value()->all().ok() ? 1 : 0;
  });
  CHECK(other.wait() == 0);
}

TEST_CASE("keeper: somebody else who listens is given nothing, and his socket stays his") {
  if (geteuid() != 0) {
    MESSAGE("skipped: only root can become another user");
    return;
  }
  std::string folder = "/tmp/sluice-foreign-XXXXXX";
  REQUIRE(mkdtemp(folder.data()) != nullptr);
  REQUIRE(chmod(folder.c_str(), 0777) == 0);
  for (const std::string& path : {folder + "/keeper", "@sluice-foreign-" + std::to_string(getpid())}) {
    CAPTURE(path);
    std::array<int, 2> pipe_ends{};
    REQUIRE(pipe2(pipe_ends.data(), O_CLOEXEC) == 0);
    const Fd told(pipe_ends[0]);
    const Fd telling(pipe_ends[1]);
    // What he gets he tells of: the first message that anybody sends him.
    Child squatter([&] {
      if (setuid(65534) != 0) return 2;
      const auto at = kernel::UnixAddress::of(path);
      const Fd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
      if (::bind(listener.get(), at->get(), at->size) != 0 || ::listen(listener.get(), 4) != 0) return 3;
      if (::write(telling.get(), "x", 1) != 1) return 4;
      for (int i = 0; i < 2; i++) {
        const Fd client(::accept(listener.get(), nullptr, nullptr));
        std::array<char, 64> bytes{};
        if (::recv(client.get(), bytes.data(), bytes.size(), 0) != 0) return 5;
      }
      return 0;
    });
    char byte = 0;
    REQUIRE(::read(told.get(), &byte, 1) == 1);
    auto store = HolderStore::connect(path);
    REQUIRE_FALSE(store.ok());
    CHECK(store.error().code == std::string("KEEPER_FOREIGN"));
    CHECK(store.error().message.find("user 65534") != std::string::npos);
    auto holder = DescriptorHolder::listen({path, 8, kernel::kSecond});
    REQUIRE_FALSE(holder.ok());
    CHECK(holder.error().code == std::string("KEEPER_FOREIGN"));
    CHECK(squatter.wait() == 0);
    if (path[0] == '/') CHECK(unlink(path.c_str()) == 0);
  }
  rmdir(folder.c_str());
}

TEST_CASE("keeper: begins in the place of a socket that was left, and of nothing else") {
  std::string folder = "/tmp/sluice-left-XXXXXX";
  REQUIRE(mkdtemp(folder.data()) != nullptr);
  const std::string path = folder + "/keeper";
  const auto at = kernel::UnixAddress::of(path);
  const auto code_of = [](const std::string& where) {
    auto holder = DescriptorHolder::listen({where, 8, kernel::kSecond});
    return holder.ok() ? std::string() : holder.error().code;
  };
  CHECK(code_of(folder + "/nowhere/keeper") == "SYSTEM_CALL");
  { const Fd file(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)); }
  CHECK(code_of(path) == "KEEPER_UNREACHABLE");
  REQUIRE(unlink(path.c_str()) == 0);
  {
    const Fd left(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(left.get(), at->get(), at->size) == 0);
  }
  CHECK(code_of(path) == "");
  rmdir(folder.c_str());
}

TEST_CASE("keeper: an answer that comes too late is nobody's") {
  std::string folder = "/tmp/sluice-late-XXXXXX";
  REQUIRE(mkdtemp(folder.data()) != nullptr);
  const std::string path = folder + "/keeper";
  const auto at = kernel::UnixAddress::of(path);
  const Fd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(listener.get(), at->get(), at->size) == 0);
  REQUIRE(::listen(listener.get(), 4) == 0);
  auto store = HolderStore::connect(path);
  REQUIRE(store.ok());
  const Fd slow(::accept(listener.get(), nullptr, nullptr));
  CHECK(code(store.value()->put("first", text_file("x").get())) == "KEEPER_UNREACHABLE");
  // It says `full` of the first, which the second must not be told.
  const char full = 17;
  CHECK(::send(slow.get(), &full, 1, MSG_NOSIGNAL) == -1);
  CHECK(code(store.value()->put("second", text_file("x").get())) == "KEEPER_UNREACHABLE");
  CHECK_FALSE(store.value()->all().ok());
  unlink(path.c_str());
  rmdir(folder.c_str());
}

TEST_CASE("keeper: of what it has, whoever fetches it learns what another uses") {
  const Holding holding;
  auto first = holding.client();
  CHECK_FALSE(first->put("a", text_file("a").get()));
  const auto used = [](HolderStore& store) {
    auto all = store.all();
    REQUIRE(all.ok());
    std::string names;
    for (const auto& one : all.value())
      if (one.in_use) names += one.name;
    return names;
  };
  const auto second = holding.client();
  CHECK_FALSE(second->put("b", text_file("b").get()));
  CHECK(used(*first) == "b");
  CHECK(used(*second) == "a");
  first.reset();
  // What its owner has left is of whoever fetches it.
  REQUIRE(eventually([&] { return used(*second).empty(); }));
  CHECK(used(*holding.client()) == "ab");
}

TEST_CASE("keeper: systemd is told in its own words") {
  std::string folder = "/tmp/sluice-systemd-XXXXXX";
  REQUIRE(mkdtemp(folder.data()) != nullptr);
  const std::string path = folder + "/notify";
  const Fd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const auto at = kernel::UnixAddress::of(path);
  REQUIRE(::bind(manager.get(), at->get(), at->size) == 0);
  const auto next = [&] {
    std::array<char, 256> bytes{};
    const ssize_t n = ::recv(manager.get(), bytes.data(), bytes.size(), 0);
    return n < 0 ? std::string() : std::string(bytes.data(), static_cast<std::size_t>(n));
  };
  kernel::ServiceManagerStore store(path);
  CHECK_FALSE(store.put("routing4", text_file("x").get()));
  CHECK(next() == "FDSTOREREMOVE=1\nFDNAME=routing4");
  CHECK(next() == "FDSTORE=1\nFDPOLL=0\nFDNAME=routing4");
  CHECK_FALSE(store.remove("routing4"));
  CHECK(next() == "FDSTOREREMOVE=1\nFDNAME=routing4");
  CHECK(code(store.put("a b", 0)) == "USAGE");

  // Beyond its limit it would drop without a word. What it has handed over counts.
  std::vector<kernel::KeptDescriptor> found;
  found.push_back({"routing4-0", Fd()});
  kernel::ServiceManagerStore bounded(path, 2, found);
  CHECK_FALSE(bounded.put("a", text_file("a").get()));
  CHECK(code(bounded.put("b", text_file("b").get())) == "KEEPER_FULL");
  CHECK_FALSE(bounded.put("a", text_file("again").get()));
  CHECK_FALSE(bounded.remove("routing4-0"));
  CHECK_FALSE(bounded.put("b", text_file("b").get()));
  CHECK(code(bounded.put("c", text_file("c").get())) == "KEEPER_FULL");
  unlink(path.c_str());
  CHECK(code(store.put("routing4", 0)) == "KEEPER_UNREACHABLE");
  rmdir(folder.c_str());
}

TEST_CASE("keeper: names say what it is, of which family and table, and which of several") {
  using kernel::KeptName;
  for (const char* text : {"routing4-0", "interfaces6-99999999", "igmp4-0-0", "joins6-5-12"}) {
    CAPTURE(text);
    const auto name = KeptName::parse(text);
    REQUIRE(name);
    CHECK(name->text() == text);
  }
  const auto joins = KeptName::parse("joins6-5-12");
  CHECK(joins->what == "joins");
  CHECK(joins->family == AF_INET6);
  CHECK(joins->table == 5);
  CHECK(joins->number == 12U);
  for (const char* text :
       {"", "4-0", "routing", "routing4", "routing4-", "routing5-0", "routing4-x", "routing4-0-",
        "routing4-0x", "routing4-00", "routing4-0-1-2", "routing4-99999999999", "routing4--1"}) {
    CAPTURE(text);
    CHECK_FALSE(KeptName::parse(text));
  }
}

TEST_CASE("note: the last that was written whole is read, by whoever has the descriptor") {
  auto made = KeptNote::create();
  REQUIRE(made.ok());
  KeptNote& note = made.value();
  CHECK(note.read().empty());
  const auto bytes = [](const std::string& text) {
    return std::vector<std::uint8_t>(text.begin(), text.end());
  };
  REQUIRE(note.write(bytes("first")));
  CHECK(note.read() == bytes("first"));
  REQUIRE(note.write(bytes("second, and longer")));
  const auto other = KeptNote::adopt(Fd(fcntl(note.fd(), F_DUPFD_CLOEXEC, 0)));
  REQUIRE(other);
  CHECK(other->read() == bytes("second, and longer"));

  // Ended in the midst of the third, which stands where the first was: any byte of it may be missing.
  const auto size = ::lseek(note.fd(), 0, SEEK_END);
  REQUIRE(note.write(bytes("third")));
  for (off_t at = 0; at >= 0 && at < size; at = ::lseek(note.fd(), at + 1, SEEK_DATA)) {
    std::uint8_t before = 0;
    if (::pread(note.fd(), &before, 1, at) != 1 || before == 0) continue;
    const std::uint8_t damaged = before ^ 0x10;
    REQUIRE(::pwrite(note.fd(), &damaged, 1, at) == 1);
    const auto now = note.read();
    CHECK((now == bytes("second, and longer") || now == bytes("third")));
    REQUIRE(::pwrite(note.fd(), &before, 1, at) == 1);
  }
  CHECK(note.read() == bytes("third"));

  // Whoever takes over goes on counting.
  auto taken = KeptNote::adopt(Fd(fcntl(note.fd(), F_DUPFD_CLOEXEC, 0)));
  REQUIRE(taken->write(bytes("fourth")));
  CHECK(note.read() == bytes("fourth"));
  REQUIRE(taken->write({}));
  CHECK(note.read().empty());

  const std::vector<std::uint8_t> most(KeptNote::kMost, 7);
  REQUIRE(taken->write(most));
  CHECK(note.read() == most);
  const std::vector<std::uint8_t> more(KeptNote::kMost + 1, 7);
  CHECK_FALSE(taken->write(more));
  CHECK(errno == EMSGSIZE);
  CHECK(note.read() == most);
  CHECK_FALSE(KeptNote::adopt(Fd(::open("/dev/null", O_RDWR | O_CLOEXEC))));
  CHECK_FALSE(KeptNote::adopt(Fd()));
}
