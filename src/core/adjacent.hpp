// Where the code of a hand-over lies: close together.
//
// A lock that is held for milliseconds is passed on by a processor that has done other things meanwhile, or
// has slept. The first touch of a page then costs it half a microsecond or more, and of a cache line a tenth
// of that, which is most of what a hand-over takes beside the kernel's part. So the code between the call of
// release and the wake stands in a page or two of its own, and so does the code between the wake and the
// return of acquire.
//
// For functions that have a definition of their own (not inline). What runs at other times should not stand
// there.
#pragma once

#define HOLDFAST_BEFORE_WAKE [[gnu::hot, gnu::section("holdfast_before_wake")]]
#define HOLDFAST_AFTER_WAKE [[gnu::hot, gnu::section("holdfast_after_wake")]]
