#include "mirror.hpp"

#include <algorithm>
#include <span>
#include <tuple>

#include "keys.hpp"
#include "value.hpp"

namespace holdfast::etcd {
namespace {

constexpr std::size_t broken_remembered = 64;

} // namespace

mirror::oddities& mirror::odd() {
    if (!odd_) {
        odd_ = std::make_unique<oddities>();
    }
    return *odd_;
}

void mirror::restart() {
    followed_ = false;
    if (odd_) {
        odd_->early.clear();
    }
}

void mirror::load(const std::vector<key_value>& keys, std::int64_t revision) {
    if (revision < revision_) {
        for (const auto& [key, what] : expected_) {
            ended_.push_back({std::string(key), verdict::kind::replaced});
        }
        expected_.clear();
        waiting_ = 0;
    }
    places_.clear();
    keys_.clear();
    born_.clear();
    std::vector<watch_event> early;
    if (odd_) {
        early.swap(odd_->early);
        odd_->kept.clear();
        odd_->moved.clear();
    }
    if (odd_ && odd_->broken.empty()) {
        odd_.reset();
    }
    head_ = 0;
    revision_ = revision;
    std::vector<const key_value*> order;
    order.reserve(keys.size());
    for (const key_value& kv : keys) {
        order.push_back(&kv);
    }
    std::ranges::sort(order, [](const key_value* left, const key_value* right) {
        return std::tie(left->create_revision, left->key) < std::tie(right->create_revision, right->key);
    });
    for (const key_value* kv : order) {
        put(*kv);
    }
    unseen_.clear();
    for (const auto& [key, what] : expected_) {
        unseen_.emplace_back(key);
    }
    followed_ = true;
    apply(early);
}

void mirror::apply(const std::vector<watch_event>& events) {
    if (!followed_) {
        odd().early.insert(odd_->early.end(), events.begin(), events.end());
        return;
    }
    // All events of one revision come in one message, so the revision is passed only after the last of them.
    std::int64_t reached = revision_;
    for (const watch_event& event : events) {
        if (event.kv.mod_revision > revision_) {
            apply_one(event);
            reached = std::max(reached, event.kv.mod_revision);
        }
    }
    revision_ = reached;
}

void mirror::apply_one(const watch_event& event) {
    if (event.deleted) {
        erase(event.kv.key);
    } else if (const auto known = born_.find(event.kv.key); known == born_.end()) {
        put(event.kv);
    } else if (known->second == event.kv.create_revision) {
        change(event.kv, known->second);
    } else {
        erase(event.kv.key);
        put(event.kv);
    }
}

// A resize has written another capacity, a holder another proposal, or a break another lease.
void mirror::change(const key_value& kv, std::int64_t create_revision) {
    if (const auto found = place_of(prefix_, kv)) {
        places_[find(create_revision, kv.key)] = found->place;
        if (found->kept) {
            odd().kept.insert(kv.key);
        }
    }
    mark_moved(kv);
}

void mirror::mark_moved(const key_value& kv) {
    if (kv.lease == 0 || kv.mod_revision == kv.create_revision) {
        return;
    }
    const auto text = parse_claim(std::string_view(kv.key).substr(prefix_.size()));
    if (text && text->lease != kv.lease) {
        odd().moved.insert(kv.key);
    }
}

bool mirror::was_broken(const std::string& key) const {
    return odd_ && std::ranges::find(odd_->broken, key) != odd_->broken.end();
}

void mirror::put(const key_value& kv) {
    const auto found = place_of(prefix_, kv);
    if (!found) {
        return;
    }
    // Create revisions rise with the events, so this is the end of the line but for keys of one transaction.
    const std::size_t at = find(kv.create_revision, kv.key);
    places_.insert(places_.begin() + static_cast<std::ptrdiff_t>(at), found->place);
    const auto born = born_.insert_or_assign(kv.key, kv.create_revision).first;
    keys_.emplace(keys_.begin() + static_cast<std::ptrdiff_t>(at), kv.create_revision, &born->first);
    if (found->kept) {
        odd().kept.insert(kv.key);
    }
    mark_moved(kv);
}

void mirror::erase(const std::string& key) {
    const auto known = born_.find(key);
    if (known == born_.end()) {
        return;
    }
    const std::int64_t create_revision = known->second;
    const std::size_t at = find(create_revision, key);
    const bool broken = odd_ && odd_->moved.erase(key) > 0;
    if (odd_) {
        odd_->kept.erase(key);
    }
    if (broken) {
        odd_->broken.push_back(key);
        if (odd_->broken.size() > broken_remembered) {
            odd_->broken.erase(odd_->broken.begin());
        }
    }
    if (is_expected(key, create_revision)) {
        forget(key);
        ended_.push_back({key, broken ? verdict::kind::broken : verdict::kind::gone});
    }
    take_out(at);
    born_.erase(known);
}

void mirror::take_out(std::size_t at) {
    if (at != head_) {
        places_.erase(places_.begin() + static_cast<std::ptrdiff_t>(at));
        keys_.erase(keys_.begin() + static_cast<std::ptrdiff_t>(at));
        return;
    }
    keys_[head_].second = nullptr;
    ++head_;
    if (head_ > 64 && head_ * 2 > places_.size()) {
        places_.erase(places_.begin(), places_.begin() + static_cast<std::ptrdiff_t>(head_));
        keys_.erase(keys_.begin(), keys_.begin() + static_cast<std::ptrdiff_t>(head_));
        head_ = 0;
    }
}

std::size_t mirror::find(std::int64_t create_revision, std::string_view key) const {
    const auto first = keys_.begin() + static_cast<std::ptrdiff_t>(head_);
    const auto found = std::lower_bound(
        first, keys_.end(), std::pair(create_revision, key), [](const auto& left, const auto& right) {
            return left.first != right.first ? left.first < right.first : *left.second < right.second;
        });
    return static_cast<std::size_t>(found - keys_.begin());
}

void mirror::expect(const std::string& key, std::int64_t create_revision) {
    forget(key);
    expected_[key] = wanted{create_revision, false};
    ++waiting_;
    unseen_.push_back(key);
}

void mirror::forget(std::string_view key) {
    const auto wanted = expected_.find(key);
    if (wanted == expected_.end()) {
        return;
    }
    waiting_ -= wanted->second.granted ? 0 : 1;
    expected_.erase(wanted);
}

// A key is used again by a later claim of the same session: what was there before is another claim's.
bool mirror::is_expected(std::string_view key, std::int64_t create_revision) const {
    const auto wanted = expected_.find(key);
    return wanted != expected_.end() && wanted->second.create_revision == create_revision;
}

std::vector<verdict> mirror::take() {
    std::vector<verdict> news;
    news.swap(ended_);
    if (!followed_ || expected_.empty()) {
        return news;
    }
    verify_unseen(news);
    const std::span<const core::place> line(places_.data() + head_, places_.size() - head_);
    const std::size_t granted = granted_places(line, kept_at_head());
    for (std::size_t i = 0; i < granted && waiting_ > 0; ++i) {
        const auto& [create_revision, key] = keys_[head_ + i];
        const auto wanted = is_expected(*key, create_revision) ? expected_.find(*key) : expected_.end();
        if (wanted != expected_.end() && !wanted->second.granted) {
            wanted->second.granted = true;
            --waiting_;
            news.push_back({*key, verdict::kind::granted});
        }
    }
    return news;
}

std::size_t mirror::kept_at_head() const {
    if (!odd_) {
        return 0;
    }
    std::size_t count = 0;
    while (count < odd_->kept.size() && head_ + count < keys_.size() &&
           odd_->kept.contains(*keys_[head_ + count].second)) {
        ++count;
    }
    return count;
}

// Claims that were gone before they were expected, or that vanished between two watches.
void mirror::verify_unseen(std::vector<verdict>& news) {
    std::vector<std::string> later;
    for (std::string& key : unseen_) {
        const auto wanted = expected_.find(key);
        if (wanted == expected_.end()) {
            continue;
        }
        const auto known = born_.find(key);
        if (known != born_.end() && known->second == wanted->second.create_revision) {
            continue;
        }
        if (wanted->second.create_revision > revision_) {
            later.push_back(std::move(key));
            continue;
        }
        forget(key);
        const auto how = was_broken(key) ? verdict::kind::broken : verdict::kind::gone;
        news.push_back({std::move(key), how});
    }
    unseen_.swap(later);
}

} // namespace holdfast::etcd
