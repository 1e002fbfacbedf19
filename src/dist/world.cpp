#include "dist/world.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <map>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "base/activity.h"
#include "base/error.h"
#include "base/exception_text.h"
#include "base/json.h"
#include "base/machine.h"
#include "dist/heartbeat.h"
#include "launch/environment.h"

namespace anneal {
namespace {

using StorePtr = c10::intrusive_ptr<c10d::Store>;
constexpr auto kPoll = std::chrono::milliseconds(50);

const char* variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

// launch/given_rank has looked at all of them but at what a port may be.
int number(const char* name) {
  const char* text = variable(name);
  int value = -1;
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), value);
  if (value < 0)
    fail(ExitCode::kUsage, text == nullptr ? "is not set" : "is no whole number", name,
         "start the processes by one launcher, as torchrun or srun");
  return value;
}

// The address of this machine that packets to `host` leave from.
std::string address_towards(const std::string& host, int port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_DGRAM;
  const auto problem = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (problem != 0)
    fail(ExitCode::kDistributed, std::string("is not known: ") + ::gai_strerror(problem),
         "MASTER_ADDR " + host, "give the name or address of rank 0's machine");
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(found, &::freeaddrinfo);
  for (const auto* entry = found; entry != nullptr; entry = entry->ai_next) {
    const int socket = ::socket(entry->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket < 0) continue;
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    char text[NI_MAXHOST] = "";
    const bool known = ::connect(socket, entry->ai_addr, entry->ai_addrlen) == 0 &&
                       ::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &size) == 0 &&
                       ::getnameinfo(reinterpret_cast<sockaddr*>(&own), size, text, sizeof text, nullptr, 0,
                                     NI_NUMERICHOST) == 0;
    ::close(socket);
    if (known) return text;
  }
  fail(ExitCode::kDistributed, "there is no way to it from this machine", "MASTER_ADDR " + host,
       "check the network");
}

StorePtr open_store(const RankEnvironment& environment, std::chrono::seconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(environment.master_port);
  options.isServer = environment.rank == 0 && !environment.store_is_elsewhere;
  options.waitWorkers = false;
  options.timeout = timeout;
  try {
    return c10::make_intrusive<c10d::TCPStore>(environment.master_addr, options);
  } catch (const std::exception& error) {
    fail(ExitCode::kDistributed,
         options.isServer
             ? "rank 0 cannot open the port: " + first_line(error)
             : fmt::format("rank {} does not reach rank 0: {}", environment.rank, first_line(error)),
         environment.meeting_point(),
         options.isServer ? "give another --master_port (MASTER_PORT)"
                          : "check that rank 0 is running, and the network between the machines");
  }
}

std::string whereabouts() { return host_name() + " process " + std::to_string(::getpid()); }

// Whether the key is there before the deadline.
bool appears(c10d::Store& store, const std::string& key, std::chrono::steady_clock::time_point deadline) {
  while (!store.check({key})) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(kPoll);
  }
  return true;
}

std::string key_of(const char* what, int rank) { return std::string(what) + "/" + std::to_string(rank); }

[[noreturn]] void fail_missing(c10d::Store& store, const RankEnvironment& environment,
                               std::chrono::seconds timeout) {
  std::string missing;
  for (int rank = 0; rank < environment.size; ++rank)
    if (!store.check({key_of("join", rank)}))
      missing += fmt::format("{}{}", missing.empty() ? "" : ", ", rank);
  fail(ExitCode::kDistributed,
       fmt::format("of {} ranks these have not come within {} s: {}", environment.size, timeout.count(),
                   missing),
       environment.meeting_point(), "look at their own messages; --rendezvous_timeout gives them longer");
}

// What every rank has said of itself, by rank.
std::vector<Json> meet(c10d::Store& store, const RankEnvironment& environment, std::chrono::seconds timeout,
                       const Json& own) {
  const auto text = own.dump();
  store.set(key_of("join", environment.rank), std::vector<std::uint8_t>(text.begin(), text.end()));
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::vector<Json> all;
  for (int rank = 0; rank < environment.size; ++rank) {
    if (!appears(store, key_of("join", rank), deadline)) fail_missing(store, environment, timeout);
    const auto bytes = store.get(key_of("join", rank));
    all.push_back(Json::parse(std::string(bytes.begin(), bytes.end())));
  }
  store.set(key_of("met", environment.rank), std::vector<std::uint8_t>{1});
  // Rank 0 keeps the store: it may leave, with an error too, when the others have read all.
  if (environment.rank == 0)
    for (int rank = 1; rank < environment.size; ++rank) appears(store, key_of("met", rank), deadline);
  return all;
}

void require_equal(const std::vector<Json>& all) {
  std::string table;
  for (const auto& [name, value] : all[0].at("identity").items()) {
    std::map<std::string, std::string> ranks_of;
    for (std::size_t rank = 0; rank < all.size(); ++rank) {
      auto& ranks = ranks_of[all[rank].at("identity").value(name, std::string("unknown"))];
      ranks += fmt::format("{}{}", ranks.empty() ? "" : ", ", rank);
    }
    if (ranks_of.size() == 1) continue;
    for (const auto& [what, ranks] : ranks_of)
      table += fmt::format("\n  {}: {} on ranks {} ({})", name, what, ranks,
                           all[std::atoi(ranks.c_str())].at("where").get<std::string>());
  }
  if (!table.empty())
    fail(ExitCode::kDistributed, "the ranks do not agree:" + table, "rendezvous",
         "give all machines the same program, model, data and flags");
}

ProcessGroup make_group(const StorePtr& store, const char* name, const RankEnvironment& environment,
                        std::chrono::seconds timeout) {
  auto gloo = c10d::ProcessGroupGloo::Options::create(timeout);
  const char* interface = variable("GLOO_SOCKET_IFNAME");
  gloo->devices.push_back(interface != nullptr
                              ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                              : c10d::ProcessGroupGloo::createDeviceForHostname(
                                    address_towards(environment.master_addr, environment.master_port)));
  return ProcessGroup(
      c10::make_intrusive<c10d::ProcessGroupGloo>(c10::make_intrusive<c10d::PrefixStore>(name, store),
                                                  environment.rank, environment.size, gloo),
      environment.rank, environment.size);
}

}  // namespace

std::string RankEnvironment::meeting_point() const { return master_addr + ":" + std::to_string(master_port); }

std::optional<RankEnvironment> rank_environment() {
  if (variable(kWorldSize) == nullptr || number(kWorldSize) == 1) return std::nullopt;
  RankEnvironment environment;
  environment.rank = number(kRank);
  environment.size = number(kWorldSize);
  environment.local_rank = variable(kLocalRank) ? number(kLocalRank) : environment.rank;
  environment.local_size = variable(kLocalWorldSize) ? number(kLocalWorldSize) : environment.size;
  const auto text = [](const char* name) { return std::string(variable(name) ? variable(name) : ""); };
  environment.master_addr = text(kMasterAddr);
  environment.master_port = number(kMasterPort);
  environment.token = text(kRunToken) + text("TORCHELASTIC_RUN_ID") + text("TORCHELASTIC_RESTART_COUNT");
  environment.store_is_elsewhere = text("TORCHELASTIC_USE_AGENT_STORE") == "True";
  return environment;
}

struct World::Meeting {
  StorePtr base;   // destroyed last: rank 0 keeps the server
  StorePtr store;  // of this start alone
  std::unique_ptr<Heartbeat> heartbeat;
};

World::World() = default;

World::World(const RankEnvironment& environment, const DistOptions& options,
             const std::vector<std::pair<std::string, std::string>>& identity)
    : meeting_(std::make_unique<Meeting>()),
      local_rank_(environment.local_rank),
      ranks_here_(environment.local_size) {
  enter_phase("meeting the other ranks");
  const std::chrono::seconds timeout(options.rendezvous_timeout);
  meeting_->base = open_store(environment, timeout);
  const auto prefix = "anneal/" + environment.token;
  const auto own_connection = [&] {
    return c10::make_intrusive<c10d::PrefixStore>(prefix, meeting_->base->clone());
  };
  meeting_->store = c10::make_intrusive<c10d::PrefixStore>(prefix, meeting_->base);
  Json names = Json::object();
  for (const auto& [name, value] : identity) names[name] = value;
  try {
    require_equal(
        meet(*meeting_->store, environment, timeout, {{"identity", names}, {"where", whereabouts()}}));
    const auto collective_timeout = kStartFactor * std::chrono::seconds(options.collective_timeout);
    group_ = make_group(meeting_->store, "training", environment, collective_timeout);
    saving_group_ = make_group(meeting_->store, "saving", environment, collective_timeout);
    meeting_->heartbeat =
        std::make_unique<Heartbeat>(own_connection(), environment.rank, environment.size,
                                    HeartbeatLimits{std::chrono::seconds(options.heartbeat_timeout),
                                                    std::chrono::seconds(options.collective_timeout)});
  } catch (const UserError&) {
    throw;
  } catch (const std::exception& error) {
    fail(ExitCode::kDistributed, "the ranks cannot be connected: " + first_line(error),
         environment.meeting_point(),
         "check the network between the machines, and GLOO_SOCKET_IFNAME where it is set");
  }
}

World::~World() = default;

void World::join_gpus(MakeBackend make, std::chrono::milliseconds timeout) {
  if (!meeting_) return;
  group_.add_gpu_backend(make(c10::make_intrusive<c10d::PrefixStore>("gpus", meeting_->store), group_.rank(),
                              group_.size(), timeout));
}

void World::leave() {
  if (!meeting_) return;
  enter_phase("leaving");
  group_.barrier();
  meeting_->heartbeat.reset();  // from here on nobody is missed
  group_.barrier();
}

}  // namespace anneal
