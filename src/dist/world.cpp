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
#include "base/json.h"
#include "dist/heartbeat.h"

namespace anneal {
namespace {

using StorePtr = c10::intrusive_ptr<c10d::Store>;
constexpr auto kPoll = std::chrono::milliseconds(50);

const char* variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

int number(const char* name, int minimum) {
  const char* text = variable(name);
  int value = -1;
  if (text != nullptr) {
    const auto result = std::from_chars(text, text + std::strlen(text), value);
    if (result.ec == std::errc() && *result.ptr == '\0' && value >= minimum) return value;
  }
  fail(ExitCode::kUsage,
       text == nullptr ? "is not set, though RANK and WORLD_SIZE are" : "is no whole number", name,
       "set RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT as torchrun does, or none of them");
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
    const std::string text = error.what();
    const auto first_line = text.substr(0, text.find('\n'));
    fail(ExitCode::kDistributed,
         options.isServer ? "rank 0 cannot open the port: " + first_line
                          : fmt::format("rank {} does not reach rank 0: {}", environment.rank, first_line),
         environment.master_addr + ":" + std::to_string(environment.master_port),
         options.isServer ? "give another --master_port (MASTER_PORT)"
                          : "check that rank 0 is running, and the network between the machines");
  }
}

std::string whereabouts() {
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  return std::string(host) + " process " + std::to_string(::getpid());
}

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
       environment.master_addr + ":" + std::to_string(environment.master_port),
       "look at their own messages; --rendezvous_timeout gives them longer");
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

}  // namespace

std::optional<RankEnvironment> rank_environment() {
  if (variable("RANK") == nullptr && variable("WORLD_SIZE") == nullptr) return std::nullopt;
  RankEnvironment environment;
  environment.rank = number("RANK", 0);
  environment.size = number("WORLD_SIZE", 1);
  if (environment.rank >= environment.size)
    fail(ExitCode::kUsage, fmt::format("{} is not below WORLD_SIZE, {}", environment.rank, environment.size),
         "RANK", "ranks are counted from 0");
  if (environment.size == 1) return std::nullopt;
  environment.local_rank = variable("LOCAL_RANK") ? number("LOCAL_RANK", 0) : environment.rank;
  environment.local_size = variable("LOCAL_WORLD_SIZE") ? number("LOCAL_WORLD_SIZE", 1) : environment.size;
  if (variable("MASTER_ADDR") == nullptr) number("MASTER_ADDR", 0);  // says that it is missing
  environment.master_addr = variable("MASTER_ADDR");
  environment.master_port = number("MASTER_PORT", 1);
  const auto text = [](const char* name) { return std::string(variable(name) ? variable(name) : ""); };
  environment.token =
      text("ANNEAL_RUN_TOKEN") + text("TORCHELASTIC_RUN_ID") + text("TORCHELASTIC_RESTART_COUNT");
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
    const auto make_group = [&](const char* name) {
      auto gloo =
          c10d::ProcessGroupGloo::Options::create(std::chrono::seconds(4 * options.collective_timeout));
      const char* interface = variable("GLOO_SOCKET_IFNAME");
      gloo->devices.push_back(interface != nullptr
                                  ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                                  : c10d::ProcessGroupGloo::createDeviceForHostname(
                                        address_towards(environment.master_addr, environment.master_port)));
      return ProcessGroup(c10::make_intrusive<c10d::ProcessGroupGloo>(
                              c10::make_intrusive<c10d::PrefixStore>(name, meeting_->store), environment.rank,
                              environment.size, gloo),
                          environment.rank, environment.size);
    };
    group_ = make_group("training");
    saving_group_ = make_group("saving");
    meeting_->heartbeat =
        std::make_unique<Heartbeat>(own_connection(), environment.rank, environment.size,
                                    HeartbeatLimits{std::chrono::seconds(options.heartbeat_timeout),
                                                    std::chrono::seconds(options.collective_timeout)});
  } catch (const UserError&) {
    throw;
  } catch (const std::exception& error) {
    const std::string text = error.what();
    fail(ExitCode::kDistributed, "the ranks cannot be connected: " + text.substr(0, text.find('\n')),
         environment.master_addr + ":" + std::to_string(environment.master_port),
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
