#include "local/journal.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <limits>
#include <queue>
#include <system_error>

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

journal_entry* journal::begin(std::uint64_t token) {
    const std::int64_t at = monotonic_ns();
    const std::uint64_t index = content_->used.fetch_add(1);
    if (index >= content::capacity) {
        return nullptr;
    }
    journal_entry& entry = content_->entries[index];
    entry.pid.store(getpid());
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
        hold each{entry.pid.load(), entry.token.load(), entry.start.load(), entry.end.load()};
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
    std::sort(all.begin(), all.end(), [](const hold& a, const hold& b) { return a.token < b.token; });
    return all;
}

std::string violations(const std::vector<journal::hold>& holds, std::size_t capacity) {
    const auto show = [](const journal::hold& each) {
        return "[pid " + std::to_string(each.pid) + " token " + std::to_string(each.token) + " from " +
               std::to_string(each.start) + " to " + std::to_string(each.end) + "]";
    };
    // By token: no later one may have ended before this one began. Several permits may be granted at once,
    // and their holders run in any order.
    std::int64_t latest_start = std::numeric_limits<std::int64_t>::min();
    const journal::hold* latest = nullptr;
    for (std::size_t i = 0; i < holds.size(); ++i) {
        if (i > 0 && holds[i].token == holds[i - 1].token) {
            return "one token twice: " + show(holds[i - 1]) + show(holds[i]);
        }
        if (capacity == 1 && latest != nullptr && holds[i].end < latest_start) {
            return "tokens against time: " + show(*latest) + show(holds[i]);
        }
        if (holds[i].start > latest_start) {
            latest_start = holds[i].start;
            latest = &holds[i];
        }
    }
    // By time: never more than the capacity at once.
    std::vector<journal::hold> by_start = holds;
    std::sort(by_start.begin(), by_start.end(),
              [](const auto& a, const auto& b) { return a.start < b.start; });
    std::priority_queue<std::int64_t, std::vector<std::int64_t>, std::greater<>> ends;
    for (const journal::hold& each : by_start) {
        while (!ends.empty() && ends.top() <= each.start) {
            ends.pop();
        }
        if (each.end > each.start) {
            ends.push(each.end);
        }
        if (ends.size() > capacity) {
            return std::to_string(ends.size()) + " holds at once, the last: " + show(each);
        }
    }
    return {};
}

} // namespace holdfast::testing
