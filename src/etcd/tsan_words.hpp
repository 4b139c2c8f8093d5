// What ThreadSanitizer has to be told of gRPC, whose library is not instrumented. Nothing at all in other
// builds.
#pragma once

#if defined(HOLDFAST_TELL_TSAN)
#include <sanitizer/tsan_interface.h>

extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace holdfast::etcd {

// What is handed to gRPC on one thread comes back on another. gRPC orders the two, in ways that
// ThreadSanitizer cannot see; these two tell it, for one call or stream at a time.
inline void hand_over([[maybe_unused]] void* what) {
#if defined(HOLDFAST_TELL_TSAN)
    __tsan_release(what);
#endif
}
inline void take_over([[maybe_unused]] void* what) {
#if defined(HOLDFAST_TELL_TSAN)
    __tsan_acquire(what);
#endif
}

/// Around calls in which nothing of ours runs: what gRPC reads and writes in them is its own business.
class unseen_scope {
  public:
#if defined(HOLDFAST_TELL_TSAN)
    unseen_scope() {
        AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
        AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
    }
    ~unseen_scope() {
        AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
        AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
    }
#else
    unseen_scope() = default;
    ~unseen_scope() = default;
#endif
    unseen_scope(const unseen_scope&) = delete;
    unseen_scope& operator=(const unseen_scope&) = delete;
};

} // namespace holdfast::etcd
