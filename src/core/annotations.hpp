// Names for clang's thread-safety analysis, and a mutex that carries them. Elsewhere they vanish.
#pragma once

#include <mutex>

#if defined(__clang__)
#define HOLDFAST_ANNOTATE(x) __attribute__((x))
#else
#define HOLDFAST_ANNOTATE(x)
#endif

#define CAPABILITY(x) HOLDFAST_ANNOTATE(capability(x))
#define SCOPED_CAPABILITY HOLDFAST_ANNOTATE(scoped_lockable)
#define GUARDED_BY(x) HOLDFAST_ANNOTATE(guarded_by(x))
#define REQUIRES(...) HOLDFAST_ANNOTATE(requires_capability(__VA_ARGS__))
#define ACQUIRE(...) HOLDFAST_ANNOTATE(acquire_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) HOLDFAST_ANNOTATE(try_acquire_capability(__VA_ARGS__))
#define RELEASE(...) HOLDFAST_ANNOTATE(release_capability(__VA_ARGS__))
#define EXCLUDES(...) HOLDFAST_ANNOTATE(locks_excluded(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS HOLDFAST_ANNOTATE(no_thread_safety_analysis)

namespace holdfast::core {

/// std::mutex, known to the analysis.
class CAPABILITY("mutex") latch {
  public:
    void lock() ACQUIRE() { mutex_.lock(); }
    bool try_lock() TRY_ACQUIRE(true) { return mutex_.try_lock(); }
    void unlock() RELEASE() { mutex_.unlock(); }

  private:
    std::mutex mutex_;
};

/// Holds a latch for a scope.
class SCOPED_CAPABILITY latch_guard {
  public:
    explicit latch_guard(latch& guarded) ACQUIRE(guarded) : guarded_(guarded) { guarded_.lock(); }
    ~latch_guard() RELEASE() { guarded_.unlock(); }
    latch_guard(const latch_guard&) = delete;
    latch_guard& operator=(const latch_guard&) = delete;

  private:
    latch& guarded_;
};

} // namespace holdfast::core
