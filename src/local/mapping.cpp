#include "mapping.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <mutex>

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast::local {
namespace {

/// More segments at a time than any program has.
constinit std::array<mapping::entry, 256> guarded;

/// Who handled SIGBUS before us. Written before our handler is set, and never again.
struct sigaction former_handler {};
constinit std::atomic<bool> former_is_spent{false}; ///< It was to be called once only (SA_RESETHAND).

/// No system call but this one, and no library's wrapper of it: a sanitizer's is not for signal handlers.
bool put_zeros(std::uintptr_t base, std::size_t bytes) noexcept {
    return syscall(SYS_mmap, base, bytes, PROT_READ | PROT_WRITE,
                   MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == static_cast<long>(base);
}

bool cover_if_ours(std::uintptr_t address) noexcept {
    for (mapping::entry& each : guarded) {
        const std::uintptr_t base = each.base.load(std::memory_order_acquire);
        const std::size_t bytes = each.bytes.load(std::memory_order_acquire);
        if (base == 0 || address - base >= bytes) {
            continue;
        }
        // Twice does no harm: another thread may be between the two, or have touched it just before them.
        each.covered.store(true);
        return put_zeros(base, bytes);
    }
    return false;
}

void pass_on(int number, siginfo_t* info, void* context) noexcept {
    const bool spent = (static_cast<unsigned>(former_handler.sa_flags) & SA_RESETHAND) != 0 &&
                       former_is_spent.exchange(true, std::memory_order_relaxed);
    if (!spent && (former_handler.sa_flags & SA_SIGINFO) != 0) {
        former_handler.sa_sigaction(number, info, context);
        return;
    }
    const bool sent = info->si_code <= 0; // By somebody; the kernel's own codes are above.
    if (!spent && former_handler.sa_handler == SIG_IGN && sent) {
        return;
    }
    if (!spent && former_handler.sa_handler != SIG_IGN && former_handler.sa_handler != SIG_DFL) {
        former_handler.sa_handler(number);
        return;
    }
    // As without us: the fault is raised again by the same instruction, and what was sent is sent again.
    struct sigaction by_default {};
    by_default.sa_handler = SIG_DFL;
    sigaction(number, &by_default, nullptr);
    if (sent) {
        raise(number);
    }
}

void on_bus_error(int number, siginfo_t* info, void* context) noexcept {
    const int kept = errno;
    const bool is_beyond_end = info->si_code == BUS_ADRERR;
    if (!is_beyond_end || !cover_if_ours(reinterpret_cast<std::uintptr_t>(info->si_addr))) {
        pass_on(number, info, context);
    }
    errno = kept;
}

void catch_bus_errors() noexcept {
    static std::once_flag once;
    std::call_once(once, [] {
        if (sigaction(SIGBUS, nullptr, &former_handler) != 0) {
            return;
        }
        struct sigaction ours {};
        ours.sa_sigaction = on_bus_error;
        ours.sa_mask = former_handler.sa_mask;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK | (former_handler.sa_flags & (SA_NODEFER | SA_RESTART));
        sigaction(SIGBUS, &ours, nullptr);
    });
}

} // namespace

mapping::mapping(int fd, std::size_t bytes, bool catches) noexcept : bytes_(bytes) {
    void* const made = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (made == MAP_FAILED) {
        return;
    }
    base_ = made;
    if (!catches) {
        return;
    }
    catch_bus_errors();
    for (entry& each : guarded) {
        bool used = false;
        if (each.used.compare_exchange_strong(used, true)) {
            entry_ = &each;
            each.covered.store(false);
            each.bytes.store(bytes);
            each.base.store(reinterpret_cast<std::uintptr_t>(made));
            return;
        }
    }
}

mapping::~mapping() {
    if (entry_ != &spare_) { // Before the addresses may become somebody else's.
        entry_->base.store(0);
        entry_->bytes.store(0);
        entry_->used.store(false);
    }
    if (base_ != nullptr) {
        munmap(base_, bytes_);
    }
}

void mapping::cover() const noexcept {
    entry_->covered.store(true);
    static_cast<void>(put_zeros(reinterpret_cast<std::uintptr_t>(base_), bytes_));
}

} // namespace holdfast::local
