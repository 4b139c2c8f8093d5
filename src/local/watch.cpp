#include "watch.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include "line.hpp"

namespace holdfast::local {
namespace {

class record_watch final : public attended {
  public:
    record_watch(std::shared_ptr<engine> on, std::uint32_t record, std::function<void()> changed)
        : engine_(std::move(on)), record_(record), changed_(std::move(changed)) {}

    /// What is there now is no news.
    void begin() {
        std::vector<futex_watch> ignored;
        attendance turn{.watches = ignored, .until = instant::max(), .now = now(clock_source::monotonic)};
        last_ = look(turn);
    }

    void attend(attendance& turn) override {
        const sight seen = look(turn);
        if (std::exchange(last_, seen) != seen) {
            tell();
        }
    }

    void stop() noexcept {
        int seen = idle;
        while (!state_.compare_exchange_strong(seen, stopped) && seen != stopped) {
            if (engine_->on_thread() || engine_->forked()) {
                state_.store(stopped);
                return;
            }
            state_.wait(seen);
            seen = idle;
        }
    }

  private:
    struct sight {
        std::uint64_t word = 0;
        std::uint64_t proposal = 0;
        std::size_t dead = 0;
        friend bool operator==(const sight&, const sight&) = default;
    };
    enum : int { idle, calling, stopped };

    sight look(attendance& turn) {
        local::record& at = engine_->memory().data().records[record_];
        // The mark first: who changes anything after our look sees it.
        turn.sleep_on(at.watch, at.watch.fetch_or(cell::asleep) | cell::asleep);
        sight seen{.word = 0, .proposal = at.proposal.load(), .dead = 0};
        line now;
        if (!read_line(engine_->memory(), record_, now)) {
            return seen;
        }
        seen.word = now.word;
        // A death or an expiry changes the line only when somebody repairs it, and nobody may be there to.
        for (const standing& each : now.claims) {
            slot& sits = engine_->memory().data().slots[each.slot];
            const pulse life = pulse_of(sits);
            const std::uint64_t session = sits.session.load(std::memory_order_acquire);
            const instant ends(std::chrono::milliseconds(deadline_ms_of(session) + 1));
            if (!life.living() || state_of(session) != session_state::alive || turn.now >= ends) {
                ++seen.dead;
            } else if (each.holds) {
                turn.sleep_on(*life.word, life.value);
                turn.until = std::min(turn.until, ends);
            }
        }
        return seen;
    }

    void tell() {
        int expected = idle;
        if (!state_.compare_exchange_strong(expected, calling)) {
            return;
        }
        changed_();
        expected = calling;
        state_.compare_exchange_strong(expected, idle);
        state_.notify_all();
    }

    const std::shared_ptr<engine> engine_;
    const std::uint32_t record_;
    const std::function<void()> changed_;
    std::atomic<int> state_{idle};
    sight last_; ///< The thread's alone.
};

struct handle {
    explicit handle(std::shared_ptr<record_watch> of) : watch(std::move(of)) {}
    ~handle() { watch->stop(); }
    handle(const handle&) = delete;
    handle& operator=(const handle&) = delete;
    const std::shared_ptr<record_watch> watch;
};

} // namespace

std::shared_ptr<void> watch_record(const std::shared_ptr<engine>& on, std::uint32_t record,
                                   std::function<void()> changed) {
    auto made = std::make_shared<record_watch>(on, record, std::move(changed));
    made->begin();
    on->start_thread();
    on->add(made);
    return std::make_shared<handle>(std::move(made));
}

} // namespace holdfast::local
