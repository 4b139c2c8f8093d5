// Several locks at once, and work that is told when its lock is gone. Functions; thread-safe.
#pragma once

#include <array>
#include <concepts>
#include <memory>
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <holdfast/locks.hpp>

namespace holdfast {

namespace core {

/// One of several that are wanted together.
struct share {
    std::shared_ptr<resource> of;
    std::uint32_t weight = 0;
};
share share_of(const exclusive_access& face);
share share_of(const semaphore& face);
/// All of them, in the order they were given in, or none.
result<std::vector<held>> acquire_shares(const std::vector<share>& wanted, const std::stop_token& stop);
/// Ends a hold under which work was done: lost when it did not last until now, success otherwise.
result<void> end_of_work(held taken);

} // namespace core

/// A face that acquire_all() takes: mutex, shared_mutex (exclusively), semaphore (one permit).
template <typename Face>
concept acquirable = std::derived_from<Face, exclusive_access> || std::same_as<Face, semaphore>;

namespace detail {

template <typename... Args>
inline constexpr std::size_t how_many = (std::size_t{0} + ... +
                                         (acquirable<std::remove_cvref_t<Args>> ? 1U : 0U));
template <typename... Args>
concept faces_then_stop = how_many<Args...> >
0 && (how_many<Args...> == sizeof...(Args) ||
      (how_many<Args...> + 1 == sizeof...(Args) &&
       std::same_as<std::remove_cvref_t<std::tuple_element_t<sizeof...(Args) - 1, std::tuple<Args...>>>,
                    std::stop_token>));

/// A stop_token that fires when the first of two does.
class first_of {
  public:
    first_of(std::stop_token a, std::stop_token b)
        : on_a_(std::move(a), stop{source_}), on_b_(std::move(b), stop{source_}) {}
    std::stop_token token() const noexcept { return source_.get_token(); }

  private:
    struct stop {
        std::stop_source source;
        void operator()() noexcept { source.request_stop(); }
    };
    std::stop_source source_;
    std::stop_callback<stop> on_a_;
    std::stop_callback<stop> on_b_;
};

template <typename T>
struct as_result {
    using type = result<T>;
};
template <typename T>
struct as_result<result<T>> {
    using type = result<T>;
};

/// run_while_held's second half: calls the work with as much as it takes, and judges the end.
template <typename Work>
auto run_and_end(held taken, std::stop_token stop, Work& work) {
    const first_of ends(std::move(stop), taken.lost());
    const auto call = [&] {
        if constexpr (std::invocable<Work&, std::stop_token, const held&>) {
            return work(ends.token(), std::as_const(taken));
        } else {
            return work(ends.token());
        }
    };
    using value = std::decay_t<decltype(call())>;
    using outcome = typename as_result<value>::type;
    if constexpr (std::is_void_v<value>) {
        call();
        return core::end_of_work(std::move(taken));
    } else {
        value done = call();
        if (const auto lasted = core::end_of_work(std::move(taken)); !lasted) {
            return outcome(lasted.error());
        }
        return outcome(std::move(done));
    }
}

} // namespace detail

/// Acquires several faces, of any stores, all or none: `acquire_all(a, b, c)` or `acquire_all(a, b, stop)`.
/// mutex and shared_mutex exclusively, a semaphore with one permit.
///
/// It waits in line for one after another, in a fixed order: by the store's URL, then by name. So callers
/// that spell the URLs alike never wait for each other in a circle, and each line is served first come, first
/// served: nobody starves. std::scoped_lock over several faces is free of deadlock too, but it backs off and
/// tries again; where lines are never empty, it may try for ever.
///
/// Returns the holds in the order of the arguments: `auto [x, y] = acquire_all(a, b).value();`. One round
/// trip for each that is free. When one cannot be had, those taken so far are released before it returns.
/// Errors: misuse when one name of one store is given twice (it would wait for itself), lost when one hold
/// ended while it waited for the next (repeat the call), and as of mutex::acquire.
template <typename... Args>
requires detail::faces_then_stop<Args...> result<std::array<held, detail::how_many<Args...>>>
acquire_all(Args&&... args) {
    std::vector<core::share> wanted;
    std::stop_token stop;
    const auto add = [&](auto& each) {
        if constexpr (std::same_as<std::remove_cvref_t<decltype(each)>, std::stop_token>) {
            stop = each;
        } else {
            wanted.push_back(core::share_of(each));
        }
    };
    (add(args), ...);
    auto taken = core::acquire_shares(wanted, stop);
    if (!taken) {
        return taken.error();
    }
    std::array<held, detail::how_many<Args...>> all;
    for (std::size_t i = 0; i < all.size(); ++i) {
        all[i] = std::move((*taken)[i]);
    }
    return all;
}

} // namespace holdfast
