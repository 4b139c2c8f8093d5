// The memory that processes share: its layout, and the mapping of it.
//
// Thread-safe and process-safe by construction: every word that may be written while others look is a
// lock-free atomic. There is no lock inside. What the segment says is not trusted: every index read from it
// is checked before it is used.
//
// Crash safety in one paragraph. A resource changes by ONE compare-and-swap of its word. Whatever a change
// needs beside that word (a block with the new line, a cell to sleep on, a record for a new name) is prepared
// where nobody looks and becomes visible with that one step. Whether a block or a record is in use is
// *derived* from the word or table entry that names it, never counted, so that a process killed at any
// instruction leaks nothing: its unfinished work is not named, and the mark of who was writing it (owner_id)
// becomes void when its slot is taken back. A slot is taken back only when its process is wholly gone (its
// byte of the file is OFD-locked until then), so that no late write of a dying process can meet a new owner.
// A stopped process loses its session, never its slot: when it goes on it can only write what is its own.
//
//   part   | count | bytes  | what it is
//   -------+-------+--------+-------------------------------------------------------------------------------
//   header | 1     | 4096   | magic, layout version, boot id, token floor, how many slots and records were
//   used slot   | 1024  | 640    | one session: its word, its process's life word (robust futex), mailbox,
//   who it is table  | 32768 | 4      | hash table of names: index of a record + 1; entries are only ever
//   added record | 16384 | 64     | one resource: its word, token base, name length, hash, its leader's
//   proposal name   | 16384 | 512    | the record's name cell   | 65536 | 64     | where one waiter sleeps; a
//   claim in a line keeps its cell while it stands poked  | 1024  | 8      | one bit a cell: it was poked,
//   and no thread waits for its claim block  | 16384 | 256    | a line of up to 14 claims (sequence, slot,
//   weight, cell: 16 bytes each), or a proposal
//          | 4096  | 640    | up to 38, or any proposal
//          | 1024  | 4096   | up to 254
//          | 64    | 65536  | up to 4,094
//          | 16    | 262144 | up to 16,382: the longest line there is
//
// About 32 MB of address space and of disk (allocated at creation, because a full disk would be a SIGBUS
// later); of memory only the pages in use. Names stay in the table until a process opens the segment while
// nobody else has it open and finds it more than half full.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <holdfast/error.hpp>
#include <holdfast/types.hpp>

#include "mapping.hpp"
#include "word.hpp"

namespace holdfast::local {

inline constexpr std::uint64_t segment_magic =
    0x31746661'66646c6f; // "oldfaft1" in memory, as good as any number.
inline constexpr std::uint32_t layout_version = 3;

inline constexpr std::uint32_t slot_count = 1U << slot_bits;
inline constexpr std::uint32_t table_count = 32768;
inline constexpr std::uint32_t record_count = 16384;
inline constexpr std::uint32_t cell_count = 65536;

using word64 = std::atomic<std::uint64_t>;
using word32 = std::atomic<std::uint32_t>;
static_assert(word64::is_always_lock_free && sizeof(word64) == 8);
static_assert(word32::is_always_lock_free && sizeof(word32) == 4);

struct alignas(4096) header {
    word64 magic;
    word32 layout;
    word32 ready; ///< 0 while the one process that has the segment alone (re)initialises it.
    word64 bytes;
    std::array<word64, 2> boot;
    word64 token_floor; ///< Every token ever granted before this initialisation is at most this.
    word32 slot_high;   ///< Slots from here on were never used.
    word32 record_high; ///< Records from here on were never used. May exceed record_count.
};

/// People's information about a session. Written before the session becomes alive, read with a look at its
/// word before and after.
struct slot_info {
    static constexpr std::size_t text_words = 48;
    word64 pid;
    word64 ttl_ns;
    word64 started_ms;                   ///< Realtime.
    word64 lengths;                      ///< Of user, host, command, why: 16 bits each.
    std::array<word64, text_words> text; ///< The four, one after another.
};

struct alignas(64) slot {
    word64 session;
    /// TID of the thread whose death the kernel announces here, | FUTEX_WAITERS; 0 TID: dead.
    alignas(64) word32 life;
    /// The same of another process that keeps the session from ending with ours; see holdfast::life_word.
    word32 second_life;
    /// Poked for claims that no thread waits for: wakes the process's own thread.
    alignas(64) word32 mailbox;
    alignas(64) slot_info info;
};
static_assert(sizeof(slot) == 640);

struct alignas(64) record {
    word64 word;
    word64 base;
    word64 owner; ///< Who prepares it; meaningless once published.
    word64 hash;
    word32 home; ///< The table entry that names it, if any does.
    word32 name_bytes;
    word64 since;    ///< Low 20 bits of a sole holder's sequence | realtime ms; a hint for people.
    word64 proposal; ///< Counter:40 | block:24 + 1 of what a holder proposes, 0: none. See proposal.hpp.
    word32 watch;    ///< Bit 0: somebody sleeps here until anything changes. The rest counts.
};
static_assert(sizeof(record) == 64);

struct name_text {
    std::array<word64, resource_name::max_bytes / 8> words;
};

/// Bit 0: somebody sleeps on it. Bit 1: no thread waits for this claim, mark it in `poked` and poke the
/// slot's mailbox. The rest counts. In a mailbox bit 1 says: look at every claim.
struct alignas(64) cell {
    static constexpr std::uint32_t asleep = 1;
    static constexpr std::uint32_t unattended = 2;
    static constexpr std::uint32_t everything = 2;
    static constexpr std::uint32_t poke = 4;
    word32 futex;
    word64 owner;
    word64 since_ms; ///< Realtime: since it waits, then since it holds.
};
static_assert(sizeof(cell) == 64);

/// Four words of head, then two words for every claim.
template <std::size_t Claims>
struct block_of_size {
    static constexpr std::size_t capacity = Claims;
    std::array<word64, 4 + 2 * Claims> words;
};

struct segment_layout {
    header head;
    std::array<slot, slot_count> slots;
    std::array<word32, table_count> table;
    std::array<record, record_count> records;
    std::array<name_text, record_count> names;
    std::array<cell, cell_count> cells;
    std::array<word64, cell_count / 64> poked;
    std::array<block_of_size<14>, 16384> small_blocks;
    std::array<block_of_size<38>, 4096> proposal_blocks;
    std::array<block_of_size<254>, 1024> medium_blocks;
    std::array<block_of_size<4094>, 64> large_blocks;
    std::array<block_of_size<16382>, 16> huge_blocks;
};

/// A line of claims as it lies in memory, or a proposal. Its writer owns it (owner) until it is named by its
/// record.
struct block {
    /// A claim's first word: slot above 52 bits of sequence; its second: weight, whether it holds, cell.
    static constexpr unsigned slot_shift = 54;
    static constexpr std::uint64_t holds_bit = std::uint64_t{1} << 31;
    static_assert(slot_shift + slot_bits <= 64);

    word64* words = nullptr;
    std::uint32_t capacity = 0;

    word64& owner() const noexcept { return words[0]; }
    word64& counter() const noexcept { return words[1]; }
    word64& shape() const noexcept { return words[2]; } ///< claims << 32 | capacity of the line
    word64& record() const noexcept { return words[3]; }
    word64& claim(std::size_t index, std::size_t half) const noexcept { return words[4 + 2 * index + half]; }
};

/// A range of blocks of one size, by index.
struct block_class {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    std::uint32_t claims = 0;
};
inline constexpr std::array<block_class, 5> block_classes{
    {{0, 16384, 14}, {16384, 4096, 38}, {20480, 1024, 254}, {21504, 64, 4094}, {21568, 16, 16382}}};
inline constexpr std::uint32_t block_count = 21584;
inline constexpr std::uint32_t max_line = 16382;

/// The mapping of one segment file. Unmaps and closes on destruction; in a forked child too, which harms
/// nobody else's.
class segment {
  public:
    /// Takes over the descriptor and the mapping of sizeof(segment_layout) bytes. A forked child has neither.
    segment(int fd, std::unique_ptr<mapping> memory, std::string file);
    ~segment();
    segment(const segment&) = delete;
    segment& operator=(const segment&) = delete;

    segment_layout& data() const noexcept { return *data_; }
    int fd() const noexcept { return fd_; }
    const std::string& file() const noexcept { return file_; }

    /// The block with this index; without memory when the index is out of range.
    block block_at(std::uint32_t index) const noexcept;

    /// Whether what this owner left unfinished may be taken by others.
    bool is_void(owner_id owner) const noexcept;

    /// What somebody has done to the file. Nobody new comes here any more, except where it is in place.
    enum class fate { in_place, moved, deleted, cut_short };
    fate where() const noexcept;
    bool still_in_place() const noexcept { return where() == fate::in_place; }

    /// Of a file that was cut short: zeros take the place of its bytes. See mapping.
    void cover() const noexcept { memory_->cover(); }
    bool covered() const noexcept { return memory_->covered(); }

  private:
    /// In a forked child: lets go of the file.
    void leave_to_parent() noexcept;

    int fd_;
    const std::unique_ptr<mapping> memory_;
    segment_layout* const data_;
    std::string file_;
};

/// For people: the segment says what cannot be.
error damaged(const segment& in);

/// For people: one of the segment's tables is full.
error no_room(const segment& in, const std::string& what, const std::string& remedy);

} // namespace holdfast::local
