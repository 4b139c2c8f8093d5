#include "local/journal.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <limits>
#include <queue>
#include <span>
#include <system_error>
#include <tuple>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace holdfast::testing {

struct journal::content {
    static constexpr std::uint64_t capacity = 1'000'000;
    std::atomic<std::uint64_t> used;
    journal_entry entries[capacity];
};

std::int64_t monotonic_ns() {
    timespec at{};
    clock_gettime(CLOCK_MONOTONIC, &at);
    return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

journal::journal(const std::filesystem::path& file) {
    const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(content)) != 0) {
        throw std::system_error(errno, std::generic_category(), "making the journal");
    }
    void* base = mmap(nullptr, sizeof(content), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (base == MAP_FAILED) {
        throw std::system_error(errno, std::generic_category(), "mapping the journal");
    }
    content_ = static_cast<content*>(base);
}

journal::~journal() {
    munmap(content_, sizeof(content));
}

journal_entry* journal::begin(std::uint64_t token, std::uint32_t weight, std::uint32_t name) {
    const std::int64_t at = monotonic_ns();
    const std::uint64_t index = content_->used.fetch_add(1);
    if (index >= content::capacity) {
        return nullptr;
    }
    journal_entry& entry = content_->entries[index];
    entry.pid.store(getpid());
    entry.weight.store(weight);
    entry.name.store(name);
    entry.start.store(at);
    entry.token.store(token); // The last: without it the entry does not count.
    return &entry;
}

void journal::end(journal_entry* entry) {
    if (entry != nullptr) {
        entry->end.store(monotonic_ns());
    }
}

std::uint64_t journal::used() const noexcept {
    return content_->used.load();
}

std::uint64_t journal::room() noexcept {
    return content::capacity;
}

std::vector<journal::hold> journal::holds(const std::map<pid_t, std::int64_t>& killed_at) const {
    std::vector<hold> all;
    const std::uint64_t used = std::min(content_->used.load(), content::capacity);
    for (std::uint64_t i = 0; i < used; ++i) {
        const journal_entry& entry = content_->entries[i];
        if (entry.token.load() == 0) {
            continue;
        }
        hold each{entry.pid.load(),   entry.weight.load(), entry.token.load(),
                  entry.start.load(), entry.end.load(),    entry.name.load()};
        const auto killed = killed_at.find(static_cast<pid_t>(each.pid));
        const bool was_killed = killed != killed_at.end();
        if (each.end == 0) {
            each.end = was_killed ? killed->second : std::numeric_limits<std::int64_t>::max();
        } else if (was_killed) {
            each.end = std::min(each.end, killed->second);
        }
        each.end = std::max(each.end, each.start);
        all.push_back(each);
    }
    std::sort(all.begin(), all.end(), [](const hold& a, const hold& b) {
        return std::tie(a.name, a.token) < std::tie(b.name, b.token);
    });
    return all;
}

namespace {

/// Of one name.
std::string violations_of_one(std::span<const journal::hold> holds, std::uint64_t capacity) {
    const auto show = [](const journal::hold& each) {
        return "[pid " + std::to_string(each.pid) + " weight " + std::to_string(each.weight) + " token " +
               std::to_string(each.token) + " from " + std::to_string(each.start) + " to " +
               std::to_string(each.end) + "]";
    };
    // By token: no later one may have ended before this one began, if either holds alone. Those who share may
    // be granted at once, and run in any order.
    const journal::hold* latest = nullptr;
    const journal::hold* latest_alone = nullptr;
    const auto later = [](const journal::hold* than, const journal::hold& each) {
        return than == nullptr || each.start > than->start ? &each : than;
    };
    for (std::size_t i = 0; i < holds.size(); ++i) {
        const journal::hold& each = holds[i];
        if (i > 0 && each.token == holds[i - 1].token) {
            return "one token twice: " + show(holds[i - 1]) + show(each);
        }
        const bool alone = each.weight == capacity;
        const journal::hold* const before = alone ? latest : latest_alone;
        if (before != nullptr && each.end < before->start) {
            return "tokens against time: " + show(*before) + show(each);
        }
        latest = later(latest, each);
        latest_alone = alone ? later(latest_alone, each) : latest_alone;
    }
    // By time: never more than the capacity at once.
    std::vector<journal::hold> by_start(holds.begin(), holds.end());
    std::sort(by_start.begin(), by_start.end(),
              [](const auto& a, const auto& b) { return a.start < b.start; });
    using ending = std::pair<std::int64_t, std::uint64_t>; // When, and what weight.
    std::priority_queue<ending, std::vector<ending>, std::greater<>> endings;
    std::uint64_t weight = 0;
    for (const journal::hold& each : by_start) {
        while (!endings.empty() && endings.top().first <= each.start) {
            weight -= endings.top().second;
            endings.pop();
        }
        if (each.end > each.start) {
            endings.emplace(each.end, each.weight);
            weight += each.weight;
        }
        if (weight > capacity) {
            return std::to_string(endings.size()) + " holds at once, the last: " + show(each);
        }
    }
    return {};
}

} // namespace

std::string violations(const std::vector<journal::hold>& holds, std::uint64_t capacity) {
    std::string found;
    for (auto first = holds.begin(); first != holds.end() && found.empty();) {
        const auto last =
            std::find_if(first, holds.end(), [&](const auto& each) { return each.name != first->name; });
        found = violations_of_one({first, last}, capacity);
        first = last;
    }
    return found;
}

} // namespace holdfast::testing
