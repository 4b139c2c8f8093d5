#include "redis_rig.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <thread>

#include "redis/raw_client.hpp"
#include "support/wait_for.hpp"

namespace holdfast::chaos {
namespace {

using namespace std::chrono_literals;
using testing::network_fault;
using testing::raw_client;
using testing::wait_for;

constexpr unsigned disk_mib = 64;
constexpr auto bound = 20s; ///< For whatever a server is asked to do.

void must(bool happened, const std::string& what) {
    if (!happened) {
        throw std::runtime_error("it did not happen in time that " + what);
    }
}

void say(std::uint16_t port, const std::vector<std::string>& words) {
    const auto reply = raw_client(port)(words);
    if (reply.is_error()) {
        throw std::runtime_error(words.front() + ": " + reply.text);
    }
}

/// A number of "INFO section", 0 where it is missing.
std::int64_t info(raw_client& of, const std::string& section, const std::string& field) {
    const std::string text = of.text({"INFO", section});
    const auto at = text.find("\n" + field + ":");
    std::int64_t value = 0;
    if (at != std::string::npos) {
        const char* const start = text.data() + at + field.size() + 2;
        std::from_chars(start, text.data() + text.size(), value);
    }
    return value;
}

void be_unharmed() {}

} // namespace

breakable_redis::breakable_redis(const testing::shifted_clock& clock, std::filesystem::path data)
    : server_process("redis", "Ready to accept connections", SIGTERM), clock_(clock), data_(std::move(data)) {
    std::filesystem::create_directories(data_);
    first_start();
}

breakable_redis::~breakable_redis() {
    kill(); // Nobody asks what it knew.
}

std::string breakable_redis::url() const {
    return "redis://127.0.0.1:" + std::to_string(port());
}

void breakable_redis::forget() const {
    std::filesystem::remove_all(data_);
    std::filesystem::create_directories(data_);
}

void breakable_redis::keep_nothing() {
    say(port(), {"CONFIG", "SET", "appendonly", "no"});
    keeps_ = false;
}

void breakable_redis::keep_everything() {
    keeps_ = true;
    raw_client asks(port());
    static_cast<void>(asks({"CONFIG", "SET", "appendonly", "yes"}));
    must(wait_for(
             [&] {
                 const std::string text = asks.text({"INFO", "persistence"});
                 return text.find("aof_enabled:1") != std::string::npos &&
                        text.find("aof_rewrite_in_progress:0") != std::string::npos &&
                        text.find("aof_rewrite_scheduled:0") != std::string::npos;
             },
             bound),
         "the server wrote its memory down");
}

std::vector<std::string> breakable_redis::command() const {
    std::vector<std::string> argv{"redis-server",
                                  "--port",
                                  std::to_string(port()),
                                  "--bind",
                                  "127.0.0.1",
                                  "--protected-mode",
                                  "no",
                                  "--dir",
                                  data_.string(),
                                  "--save",
                                  "",
                                  "--appendonly",
                                  keeps_ ? "yes" : "no",
                                  "--appendfsync",
                                  "always",
                                  "--auto-aof-rewrite-min-size",
                                  "4mb",
                                  "--repl-diskless-sync-delay",
                                  "0",
                                  "--maxmemory-policy",
                                  "noeviction",
                                  "--daemonize",
                                  "no"};
    if (master_ != 0) {
        argv.insert(argv.end(), {"--replicaof", "127.0.0.1 " + std::to_string(master_)});
    }
    return argv;
}

testing::process_options breakable_redis::options() const {
    testing::process_options how;
    how.env = clock_.environment();
    return how;
}

redis_rig::redis_rig(std::chrono::nanoseconds longest_ttl)
    : longest_ttl_(longest_ttl), disk_(disk_mib),
      master_(std::make_unique<breakable_redis>(clock_, disk_.path() / "one")),
      other_(std::make_unique<breakable_redis>(clock_, disk_.path() / "two")) {
    other_->kill();
    for (auto& way : ways_) {
        way = std::make_unique<testing::tcp_proxy>(master_->port());
    }
    expect_declared(level::fenced);
    restarts();
    administrators();
    networks();
}

std::vector<std::string> redis_rig::urls() const {
    std::vector<std::string> out;
    for (const auto& way : ways_) {
        out.push_back("redis://127.0.0.1:" + std::to_string(way->port()));
    }
    return out;
}

const trouble& redis_rig::named(const std::string& name) const {
    const auto found = std::ranges::find(troubles_, name, &trouble::name);
    if (found == troubles_.end()) {
        throw std::out_of_range("no trouble is called " + name);
    }
    return *found;
}

std::vector<std::string> redis_rig::left_behind() {
    std::vector<std::string> found;
    for (const auto& key : raw_client(master_->port())({"KEYS", "*"}).items) {
        found.push_back(key.text);
    }
    return found;
}

void redis_rig::expect_declared(level wanted) const {
    const auto told = connect(master_->url()).traits();
    if (told.gives != wanted) {
        throw std::logic_error("the server is said to give " + std::string(to_string(told.gives)) +
                               " and not " + std::string(to_string(wanted)) + ": " + told.why);
    }
}

void redis_rig::come_back() {
    master_->start();
    master_->keep_everything();
}

void redis_rig::restarts() {
    troubles_.push_back({.name = "killed_and_restarted",
                         .begin =
                             [this](sim::dice&) {
                                 expect_declared(level::fenced);
                                 master_->kill();
                             },
                         .heal = [this] { come_back(); }});
    const auto die_without_memory = [this](sim::dice&) {
        master_->keep_nothing();
        expect_declared(level::efficiency);
        master_->kill();
        master_->forget();
        died_ = now(clock_source::boottime);
    };
    troubles_.push_back(
        {.name = "restarted_late_without_memory", .begin = die_without_memory, .heal = [this] {
             // Where nobody remembers, whoever held must have lost before.
             const auto due = died_ + longest_ttl_;
             must(wait_for([&] { return now(clock_source::boottime) > due; }, bound),
                  "the longest TTL was over");
             come_back();
         }});
    troubles_.push_back({.name = "restarted_at_once_without_memory",
                         .begin =
                             [this, die_without_memory](sim::dice& dice) {
                                 die_without_memory(dice);
                                 come_back();
                             },
                         .heal = be_unharmed,
                         .forgets = true});
    troubles_.push_back({.name = "stopped",
                         .begin = [this](sim::dice&) { master_->freeze(); },
                         .heal = [this] { master_->thaw(); }});
    troubles_.push_back({.name = "replica_promoted",
                         .begin = [this](sim::dice&) { promote_a_replica(be_unharmed); },
                         .heal = [this] { master_->keep_everything(); },
                         .forgets = true});
    // It stays wrong: set back, the tokens would go back with it, which is what the other assumption is.
    troubles_.push_back(
        {.name = "clock_jumps_ahead",
         .begin = [this](sim::dice& dice) { clock_.jump(dice.between(longest_ttl_ / 2, 3 * longest_ttl_)); },
         .heal = be_unharmed,
         .forgets = true});
}

void redis_rig::promote_a_replica(const std::function<void()>& meanwhile) {
    testing::tcp_proxy link(master_->port());
    other_->forget();
    other_->follow(link.port());
    other_->start();
    other_->follow(0);
    raw_client old_one(master_->port());
    raw_client new_one(other_->port());
    must(wait_for(
             [&] {
                 return new_one.text({"INFO", "replication"}).find("master_link_status:up") !=
                        std::string::npos;
             },
             bound),
         "the replica followed");
    expect_declared(level::efficiency);
    link.set({.to_server_held = true, .to_client_held = true});
    const auto cut_at = info(old_one, "replication", "master_repl_offset");
    meanwhile();
    must(wait_for([&] { return info(old_one, "replication", "master_repl_offset") > cut_at; }, bound),
         "the master wrote what the replica does not know");
    master_->kill();
    link.cut();
    say(other_->port(), {"REPLICAOF", "NO", "ONE"});
    for (const auto& way : ways_) {
        way->lead_to(other_->port());
    }
    std::swap(master_, other_);
}

void redis_rig::administrators() {
    const auto kill_clients = [this] {
        raw_client admin(master_->port());
        for (const std::string type : {"normal", "pubsub"}) {
            static_cast<void>(admin({"CLIENT", "KILL", "TYPE", type, "SKIPME", "yes"}));
        }
    };
    troubles_.push_back({"clients_killed", [kill_clients](sim::dice&) { kill_clients(); }, kill_clients});
    // The order to end a pause of everything would have to wait for its end.
    troubles_.push_back({"clients_paused",
                         [this](sim::dice& dice) {
                             const auto most =
                                 std::chrono::duration_cast<std::chrono::milliseconds>(2 * longest_ttl_);
                             say(master_->port(),
                                 {"CLIENT", "PAUSE", std::to_string(dice.between(100, most.count())), "ALL"});
                         },
                         [this] { say(master_->port(), {"PING"}); }});
    troubles_.push_back({"writes_paused",
                         [this](sim::dice&) {
                             say(master_->port(), {"CLIENT", "PAUSE", "600000", "WRITE"});
                         },
                         [this] {
                             say(master_->port(), {"CLIENT", "UNPAUSE"});
                         }});
    const auto flush = [this] { say(master_->port(), {"SCRIPT", "FLUSH"}); };
    troubles_.push_back({"scripts_flushed", [flush](sim::dice&) { flush(); }, flush});
    troubles_.push_back({"memory_full",
                         [this](sim::dice&) {
                             say(master_->port(), {"CONFIG", "SET", "maxmemory", "1"});
                         },
                         [this] {
                             say(master_->port(), {"CONFIG", "SET", "maxmemory", "0"});
                         }});
    troubles_.push_back({"disk_full", [this](sim::dice&) { fill_disk(); },
                         [this] {
                             disk_.make_room();
                             come_back();
                         }});
}

// With every write on the disk before it is acknowledged, one that cannot be written ends the server.
void redis_rig::fill_disk() {
    must(wait_for(
             [&] {
                 disk_.fill();
                 if (master_->running()) {
                     try {
                         static_cast<void>(raw_client(master_->port())(
                             {"SET", "filler", std::string(1U << 16U, 'x'), "PX", "1"}));
                     } catch (const std::runtime_error&) {
                         return !master_->running();
                     }
                 }
                 return !master_->running();
             },
             bound),
         "the server gave up on a full disk");
}

void redis_rig::on_all(const std::string& name, fault_maker fault) {
    troubles_.push_back({name,
                         [this, fault = std::move(fault)](sim::dice& dice) {
                             const network_fault chosen = fault(dice);
                             for (const auto& way : ways_) {
                                 way->set(chosen);
                             }
                         },
                         [this] {
                             for (const auto& way : ways_) {
                                 way->heal();
                             }
                         }});
}

void redis_rig::networks() {
    on_all("all_slow", [](sim::dice& dice) {
        return network_fault{.delay = std::chrono::milliseconds(dice.between(20, 300))};
    });
    on_all("all_cut_off",
           [](sim::dice&) { return network_fault{.to_server_held = true, .to_client_held = true}; });
    on_all("all_cut_off_one_way", [](sim::dice& dice) {
        const bool to_server = dice.permille(500);
        return network_fault{.to_server_held = to_server, .to_client_held = !to_server};
    });
    on_all("connections_refused", [](sim::dice&) { return network_fault{.refused = true}; });
    on_all("replies_cut_in_the_middle",
           [](sim::dice&) { return network_fault{.reply = network_fault::at_reply::divide}; });
    on_all("replies_lost_at_once",
           [](sim::dice&) { return network_fault{.reply = network_fault::at_reply::lose}; });
    troubles_.push_back(
        {"client_cut_off",
         [this](sim::dice& dice) {
             ways_.at(dice.below(clients))->set({.to_server_held = true, .to_client_held = true});
         },
         [this] {
             for (const auto& way : ways_) {
                 way->heal();
             }
         }});
    // Held and then cut: what was asked meanwhile was done, and nobody hears of it.
    troubles_.push_back({"replies_lost",
                         [this](sim::dice&) {
                             for (const auto& way : ways_) {
                                 way->set({.to_client_held = true});
                             }
                         },
                         [this] {
                             for (const auto& way : ways_) {
                                 way->cut();
                                 way->heal();
                             }
                         }});
}

} // namespace holdfast::chaos
