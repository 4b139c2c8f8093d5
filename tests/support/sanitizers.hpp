#pragma once
// What a build under clang's sanitizers cannot do, for the few tests that need just that.

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
// The allocator of clang 14's AddressSanitizer has latches of its own that a fork can find locked.
#define HOLDFAST_ALLOCATOR_IS_NOT_FOR_FORKS
#endif
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer)
// UndefinedBehaviorSanitizer needs a pipe to look at an object's type, and takes its want of descriptors for
// a finding.
#define HOLDFAST_SANITIZER_NEEDS_DESCRIPTORS
#endif
#endif
