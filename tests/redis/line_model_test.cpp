// The scripts against a model of the line, step by step, on a real server.
//
// The model keeps the line as it ought to be and asks core/line.hpp how far the grants reach. After every
// step the reply, the messages to others and what stands in Redis are compared with it. Time is not waited
// for: where a lease is to run out, its deadline is written into the past.
#include "line_model.hpp"
#include "raw_client.hpp"

#include "redis/scripts.hpp"
#include "redis/slots.hpp"
#include "support/servers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>

namespace holdfast::testing {
namespace {

using redis::reply;
using redis::script;
namespace verdict = redis::verdict;

constexpr long ttl_ms = 60'000;

class lock_step {
  public:
    lock_step(raw_client& commands, raw_client& messages, std::string name, unsigned seed)
        : redis_(commands), messages_(messages), gate_(std::move(name)), line_(redis::line_key(gate_)),
          random_(seed) {}

    void run(int steps);

  private:
    static constexpr int claims = 9;
    static constexpr std::size_t longest_line = 5;

    std::string id(int number) const {
        return std::string(31, 'a') + (number % 2 == 0 ? "0." : "1.") + std::to_string(number + 1);
    }
    std::uint32_t pick(std::uint32_t below) { return static_cast<std::uint32_t>(random_() % below); }

    long long run_script(const script& code, const std::string& id, const core::place& place,
                         bool only_if_free) {
        const reply got =
            redis_({"EVALSHA", std::string(code.sha1), "2", gate_, line_, id, std::to_string(place.weight),
                    std::to_string(place.capacity), std::to_string(ttl_ms), only_if_free ? "1" : "0",
                    std::to_string(longest_line)});
        EXPECT_EQ(got.type, reply::kind::integer) << got.text;
        return got.integer;
    }

    void append();
    void renew();
    void renew_with_another(const standing& who);
    void remove();
    void expire();
    void meddle();
    void break_holds();
    void resize();
    long long run_admin(const script& code, const std::vector<std::string>& arguments);
    void check(std::vector<std::string> granted, const std::string& me);
    void take_token(const std::string& id, long long token) {
        if (standing* const at = model_.find(id)) {
            at->token = token;
        }
    }
    std::string part(char letter) const { return line_.substr(0, line_.size() - 1) + letter; }

    raw_client& redis_;
    raw_client& messages_;
    const std::string gate_;
    const std::string line_;
    std::mt19937 random_;
    model model_;
    std::uint32_t capacity_ = 1;
    int fresh_ = 0;
    int renewals_ = 0;                  ///< Of several names at once.
    std::set<std::string> told_broken_; ///< Who shall hear of it from the next script.
};

void lock_step::append() {
    const bool again = fresh_ > 0 && pick(4) == 0;
    const std::string me = id(again ? static_cast<int>(pick(static_cast<std::uint32_t>(fresh_))) : fresh_++);
    core::place place{.weight = 1, .capacity = capacity_, .foreign = false};
    if (pick(12) == 0) {
        place.capacity = capacity_ + 1; // Another kind.
    }
    place.weight = pick(3) == 0 ? place.capacity : 1 + pick(place.capacity);
    const bool only_if_free = pick(3) == 0;
    standing* stood = model_.find(me);
    if (stood != nullptr) {
        place = stood->place;
        if (!stood->holds) {
            stood->expired = false;
        }
    }
    const bool brief = stood == nullptr && model_.joins_briefly(place, only_if_free, longest_line);
    const auto granted = brief ? std::vector<std::string>{} : model_.settle();
    stood = model_.find(me);
    const long long code = run_script(redis::append_script, me, place, only_if_free);
    if (stood != nullptr) {
        stood->expired = false;
        if (stood->holds && stood->token == 0) {
            take_token(me, code); // Moved up by this very script.
        }
        EXPECT_EQ(code > 0, stood->holds) << code;
        EXPECT_TRUE(!stood->holds || code == stood->token);
        EXPECT_TRUE(stood->holds || code <= verdict::waiting) << code;
        check(granted, me);
        return;
    }
    // Behind a foreigner it is the first waiter of ours that a newcomer has to agree with.
    if (!model_.line.empty() && !core::may_join(model_.line.front().place, place)) {
        EXPECT_EQ(code, verdict::other_kind - model_.line.front().place.capacity);
        check(granted, me);
        return;
    }
    model_.line.push_back({me, place, false, false, 0});
    const bool holds = !model_.foreign && model_.fits(model_.line.size());
    const auto waiters =
        std::count_if(model_.line.begin(), model_.line.end(), [](const auto& e) { return !e.holds; });
    if (holds) {
        model_.line.back().holds = true;
        model_.line.back().alone = place.weight == place.capacity;
        EXPECT_GT(code, 0);
        take_token(me, code);
    } else if (only_if_free || waiters > static_cast<long>(longest_line)) {
        EXPECT_EQ(code, only_if_free ? verdict::busy : verdict::line_full);
        model_.line.pop_back();
    } else {
        EXPECT_LE(code, verdict::waiting);
        EXPECT_EQ(code <= verdict::behind_foreigner, model_.foreign && waiters == 1) << code;
    }
    check(granted, me);
}

void lock_step::renew() {
    if (fresh_ == 0) {
        return;
    }
    const std::string me = id(static_cast<int>(pick(static_cast<std::uint32_t>(fresh_))));
    standing* stood = model_.find(me);
    const core::place place = stood != nullptr ? stood->place : core::place{1, capacity_, false};
    if (stood != nullptr && !stood->holds) {
        stood->expired = false;
    }
    // The renewal of one exclusive holder is short: it does not even look at the line, because it grants
    // nothing.
    const bool sole = stood != nullptr && stood->holds && !stood->expired && stood->alone;
    if (stood != nullptr && stood->holds && pick(2) == 0) {
        return renew_with_another(*stood);
    }
    const auto granted = sole ? std::vector<std::string>{} : model_.settle();
    stood = model_.find(me);
    const long long code = run_script(redis::renew_script, me, place, false);
    if (stood == nullptr) {
        EXPECT_EQ(code, model_.broken.contains(me) ? verdict::broken : verdict::gone)
            << "a renewal must not make anything anew";
    } else if (stood->holds) {
        if (stood->token == 0) {
            take_token(me, code);
        }
        EXPECT_EQ(code, stood->token);
    } else {
        EXPECT_LE(code, verdict::waiting);
    }
    check(granted, me);
}

// As one of several names at once: an exclusive holder is renewed, and nothing else is touched.
void lock_step::renew_with_another(const standing& who) {
    const bool other_token = pick(8) == 0;
    const auto head = [](const std::string& of, long long token) {
        return "holdfast " + of + " " + std::to_string(token) + " ";
    };
    const std::string second = gate_ + "2";
    const std::string free = gate_ + "3";
    const long long now_ms = std::stoll(redis_({"TIME"}).items[0].text) * 1'000;
    const long long longer_ms = ttl_ms + 5'000 + 1'000 * ++renewals_; // So that it shows.
    const std::string capacity = std::to_string(who.place.capacity);
    redis_({"SET", second, head(id(30), 7) + std::to_string(now_ms + 9'000) + " " + capacity, "PX", "9000"});
    const std::string before = redis_.text({"GET", gate_});
    const reply got =
        redis_({"EVALSHA", std::string(redis::renew_many_script.sha1), "6", gate_, second, free, line_,
                redis::line_key(second), redis::line_key(free), std::to_string(longer_ms), capacity,
                head(who.id, other_token ? who.token + 1 : who.token), head(id(30), 7), head(id(31), 8)});
    ASSERT_EQ(got.type, reply::kind::array) << got.text;
    std::vector<long long> others;
    for (const reply& place : got.items) {
        others.push_back(place.integer);
    }
    const bool renewed = !model_.foreign && who.alone && !who.expired && !other_token;
    EXPECT_EQ(others, renewed ? std::vector<long long>({3}) : std::vector<long long>({1, 3}));
    EXPECT_NE(redis_.text({"GET", gate_}) == before, renewed) << before;
    EXPECT_GT(redis_.number({"PTTL", second}), longer_ms - 30'000);
    EXPECT_LE(redis_.number({"PTTL", second}), longer_ms) << "nobody waits there: its end is exact";
    EXPECT_EQ(redis_.number({"EXISTS", free}), 0) << "a renewal must not make anything anew";
    redis_({"DEL", second});
    check({}, "");
}

void lock_step::remove() {
    if (fresh_ == 0) {
        return;
    }
    const std::string me = id(static_cast<int>(pick(static_cast<std::uint32_t>(fresh_))));
    const standing* const stood = model_.find(me);
    const core::place place = stood != nullptr ? stood->place : core::place{1, capacity_, false};
    const auto& line = model_.line;
    const bool ended = stood != nullptr && stood->holds && stood->expired;
    const bool either = ended && line.size() == 1; // Its gate may still stand or not.
    const long long stands = stood != nullptr && !ended ? 1 : 0;
    const bool brief = model_.taken_whole() && line[0].id == me && line.size() > 1 && !line[1].expired &&
                       line[1].place.weight == line[1].place.capacity;
    std::vector<std::string> granted;
    if (brief) {
        granted = model_.hand_over_briefly();
    } else {
        std::erase_if(model_.line, [&](const standing& each) { return each.id == me; });
        granted = model_.settle();
    }
    const long long found = run_script(redis::remove_script, me, place, false);
    EXPECT_TRUE(either || found == stands) << found;
    check(granted, me);
}

void lock_step::expire() {
    if (model_.line.empty()) {
        return;
    }
    standing& late = model_.line[pick(static_cast<std::uint32_t>(model_.line.size()))];
    late.expired = true;
    if (!late.holds) {
        redis_({"HSET", part('d'), late.id, "1"});
    } else if (late.alone) {
        redis_({"SET", gate_,
                "holdfast " + late.id + " " + std::to_string(late.token) + " 1 " +
                    std::to_string(late.place.capacity),
                "PX", "60000"});
    } else {
        redis_({"ZADD", part('e'), "1", late.id});
    }
}

// Those who know nothing of us.
void lock_step::meddle() {
    switch (pick(4)) {
    case 0: { // SET NX PX, as a polite client would.
        const bool free = redis_.number({"EXISTS", gate_}) == 0;
        const bool took = redis_.text({"SET", gate_, "c2VjcmV0", "NX", "PX", "60000"}) == "OK";
        EXPECT_EQ(took, free);
        if (took) {
            model_.gate_replaced(true);
        }
        break;
    }
    case 1: // Its release, or its end.
        if (model_.foreign) {
            redis_({"DEL", gate_});
            model_.foreign = false;
        }
        break;
    case 2: // DEL by hand.
        redis_({"DEL", gate_});
        model_.gate_replaced(false);
        break;
    default: // Somebody's hash takes the key over.
        if (pick(3) == 0) {
            redis_({"DEL", gate_});
            redis_({"HSET", gate_, "thread", "1"});
            redis_({"PEXPIRE", gate_, "60000"});
            model_.gate_replaced(true);
        }
    }
}

long long lock_step::run_admin(const script& code, const std::vector<std::string>& arguments) {
    std::vector<std::string> words{"EVALSHA", std::string(code.sha1), "2", gate_, line_, ""};
    words.insert(words.end(), arguments.begin(), arguments.end());
    const reply got = redis_(words);
    EXPECT_EQ(got.type, reply::kind::integer) << got.text;
    return got.integer;
}

void lock_step::break_holds() {
    std::erase_if(model_.line, [](const standing& each) { return each.holds && each.expired; });
    std::string only;
    if (pick(2) == 0) {
        const bool nobodys = model_.line.empty() || !model_.line.front().holds;
        only = nobodys ? "7" : std::to_string(model_.line.front().token);
    }
    long long count = 0;
    if (model_.foreign && only.empty()) {
        model_.foreign = false;
        count = 1;
    }
    std::erase_if(model_.line, [&](const standing& each) {
        const bool ends = each.holds && (only.empty() || std::to_string(each.token) == only);
        if (ends) {
            told_broken_.insert(each.id);
            model_.broken.insert(each.id);
            ++count;
        }
        return ends;
    });
    const auto granted = model_.settle();
    EXPECT_EQ(run_admin(redis::break_script, {only}), count);
    check(granted, "");
}

void lock_step::resize() {
    constexpr std::uint32_t lock = 1U << 30;
    constexpr std::uint32_t capacities[] = {1, 2, 3, 5, 8};
    const std::uint32_t permits = capacities[pick(5)];
    auto granted = model_.settle();
    bool is_lock = false;
    std::uint32_t heaviest = 0;
    for (const standing& each : model_.line) {
        is_lock = is_lock || each.place.capacity == lock;
        heaviest = std::max(heaviest, each.place.weight);
    }
    const long long expected = is_lock              ? -1
                               : heaviest > permits ? -1000 - static_cast<long long>(heaviest)
                                                    : 1;
    if (expected == 1 && !model_.line.empty()) {
        capacity_ = permits;
        for (standing& each : model_.line) {
            each.alone = each.alone && each.place.capacity == permits;
            each.place.capacity = permits;
        }
        const auto more = model_.settle();
        granted.insert(granted.end(), more.begin(), more.end());
    }
    EXPECT_EQ(run_admin(redis::resize_script, {std::to_string(permits), std::to_string(lock)}), expected);
    check(granted, "");
}

void lock_step::check(std::vector<std::string> granted, const std::string& me) {
    // A newcomer that holds at once comes after those whom its script has moved up.
    std::vector<std::string> in_order = granted;
    if (const standing* const mine = model_.find(me); mine != nullptr && mine->holds &&
                                                      mine->token > model_.highest &&
                                                      std::count(granted.begin(), granted.end(), me) == 0) {
        in_order.push_back(me);
    }
    // Messages, in order; whoever ran the script has its reply instead.
    std::erase(granted, me);
    messages_.send({"PING"});
    std::size_t heard = 0;
    for (reply got = messages_.read(); got.items.size() == 4; got = messages_.read()) {
        const std::string& text = got.items[3].text;
        const std::size_t space = text.find(' ');
        if (text.substr(space + 1) == "0") {
            EXPECT_EQ(told_broken_.erase(text.substr(0, space)), 1U) << text;
            EXPECT_EQ(heard, 0U) << "who holds now was told before those who hold no more";
            continue;
        }
        ASSERT_LT(heard, granted.size()) << "a message too many: " << text;
        EXPECT_EQ(text.substr(0, space), granted[heard]);
        EXPECT_EQ(got.items[2].text, "holdfast:" + granted[heard].substr(0, 32));
        take_token(granted[heard], std::stoll(text.substr(space + 1)));
        ++heard;
    }
    EXPECT_EQ(heard, granted.size()) << "a message is missing";
    EXPECT_TRUE(told_broken_.empty()) << *told_broken_.begin() << " was not told that its hold was broken";
    told_broken_.clear();
    for (const std::string& each : in_order) {
        const long long token = model_.find(each)->token;
        EXPECT_GT(token, model_.highest) << "tokens must rise in the order of grant";
        model_.highest = token;
    }

    std::vector<std::string> waiters;
    std::uint64_t weights = 0;
    std::size_t holders = 0;
    for (const standing& each : model_.line) {
        if (each.holds) {
            weights += each.place.weight;
            ++holders;
        } else {
            waiters.push_back(each.id + " " + std::to_string(each.place.weight) + " " +
                              std::to_string(each.place.capacity));
        }
    }
    std::vector<std::string> stand;
    for (const reply& entry : redis_({"LRANGE", line_, "0", "-1"}).items) {
        stand.push_back(entry.text);
    }
    EXPECT_EQ(stand, waiters);
    EXPECT_EQ(redis_.number({"HLEN", part('d')}), static_cast<long long>(waiters.size()));
    if (model_.foreign) {
        EXPECT_NE(redis_.text({"TYPE", gate_}), "none") << "a foreign key was touched";
        return;
    }
    const std::string gate = redis_.text({"GET", gate_});
    EXPECT_EQ(gate.empty(), holders == 0) << gate;
    if (holders > 0 && model_.line.front().alone) {
        EXPECT_TRUE(gate.starts_with("holdfast " + model_.line.front().id + " " +
                                     std::to_string(model_.line.front().token) + " "))
            << gate;
        if (!waiters.empty()) {
            const auto time = redis_({"TIME"}).items;
            const long long now_ms = std::stoll(time[0].text) * 1'000 + std::stoll(time[1].text) / 1'000;
            const std::string ending = gate.substr(gate.find(' ', gate.find(' ', 9) + 1) + 1);
            EXPECT_GE(redis_.number({"PTTL", gate_}), std::stoll(ending) - now_ms + 1'500)
                << "a foreigner could slip in before the first waiter looks";
        }
    } else if (holders > 0) {
        EXPECT_EQ(gate, "holdfast shared " + gate.substr(16, gate.find(' ', 16) - 16) + " " +
                            std::to_string(weights) + " " +
                            std::to_string(model_.line.front().place.capacity));
        EXPECT_EQ(redis_.number({"ZCARD", part('e')}), static_cast<long long>(holders));
    }
    for (const std::string& key : {gate_, line_, part('d'), part('e'), part('s')}) {
        EXPECT_NE(redis_.number({"PTTL", key}), -1) << key << " would stay for ever";
    }
}

void lock_step::run(int steps) {
    constexpr std::uint32_t capacities[] = {1, 2, 5, 1U << 30};
    capacity_ = capacities[pick(4)];
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
        const std::uint32_t die = pick(23);
        if (die < 8 && fresh_ < claims) {
            append();
        } else if (die < 12) {
            remove();
        } else if (die < 15) {
            renew();
        } else if (die < 18) {
            expire();
        } else if (die < 20) {
            meddle();
        } else if (die < 21) {
            break_holds();
        } else {
            resize();
        }
    }
}

TEST(line_script, agrees_with_the_model_over_random_histories) {
    redis_server server;
    raw_client commands(server.port());
    raw_client messages(server.port());
    for (const script* code : {&redis::append_script, &redis::renew_script, &redis::renew_many_script,
                               &redis::remove_script, &redis::break_script, &redis::resize_script}) {
        ASSERT_EQ(commands.text({"SCRIPT", "LOAD", std::string(code->text)}), code->sha1);
    }
    messages({"PSUBSCRIBE", "holdfast:*"});
    const unsigned seed = std::random_device{}();
    const char* const asked = std::getenv("HOLDFAST_HISTORIES"); // More than there is time for in make test.
    const unsigned long histories = asked != nullptr ? std::strtoul(asked, nullptr, 10) : 1'500;
    ASSERT_GT(histories, 0U);
    for (unsigned history = 0; history < histories; ++history) {
        SCOPED_TRACE("seed " + std::to_string(seed) + ", history " + std::to_string(history));
        lock_step(commands, messages, (history % 2 == 0 ? "name" : "{x}}na:l{") + std::to_string(history),
                  seed + history)
            .run(25);
        ASSERT_FALSE(HasFailure());
    }
}

} // namespace
} // namespace holdfast::testing
