// Locks of others on the same name: we exclude them, and they exclude us.
#include "fixture.hpp"

#include <future>
#include <thread>

namespace holdfast::testing {
namespace {

using interop = on_redis;

TEST_F(interop, a_plain_key_excludes_ours_until_it_is_deleted) {
    auto locks = connect();
    ASSERT_EQ(raw_.text({"SET", "job", "c2VjcmV0LW9mLW90aGVycw==", "NX", "PX", "60000"}), "OK");
    EXPECT_EQ(code_of(locks.mutex("job").try_acquire()), errc::busy);
    EXPECT_EQ(raw_.keys(), 2) << "a try must leave no trace beside our note";
    auto waiter = std::async(std::launch::async, [&] { return locks.mutex("job").acquire(); });
    ASSERT_TRUE(somebody_waits("job"));
    EXPECT_EQ(raw_.text({"GET", "job"}), "c2VjcmV0LW9mLW90aGVycw==");
    raw_({"DEL", "job"});
    ASSERT_EQ(waiter.wait_for(2s), std::future_status::ready)
        << "a foreign release is noticed within a second";
    EXPECT_TRUE(waiter.get());
}

TEST_F(interop, a_plain_key_that_expires_is_succeeded_at_once) {
    auto locks = connect();
    raw_({"SET", "job", "x", "NX", "PX", "300"});
    const auto began = std::chrono::steady_clock::now();
    const auto held = locks.mutex("job").acquire();
    ASSERT_TRUE(held);
    EXPECT_LT(std::chrono::steady_clock::now() - began, 2s);
}

TEST(interop_events, of_the_server_tell_when_a_foreign_holder_leaves) {
    redis_server server({"--notify-keyspace-events", "Kg"});
    raw_client raw(server.port());
    auto locks = connect(server.url());
    raw({"SET", "a", "somebody", "PX", "60000"});
    auto waiter = std::async(std::launch::async, [&] { return locks.mutex("a").acquire(); });
    const std::string events = "__keyspace@0__:a";
    ASSERT_TRUE(wait_for([&] { return raw.number({"PUBLISH", events, "expire"}) == 1; }, 10s));
    // Whoever waits looks at every event, and so more often than its timer would have it look: twice a second
    // by now.
    const auto looks = [&] {
        const std::string text = raw.text({"INFO", "commandstats"});
        const auto at = text.find("cmdstat_evalsha:calls=");
        return at == std::string::npos
                   ? 0
                   : std::stol(text.substr(at + std::string("cmdstat_evalsha:calls=").size()));
    };
    constexpr int many = 40;
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < many; ++i) {
        const long before = looks();
        raw({"PUBLISH", events, "del"});
        ASSERT_TRUE(wait_for([&] { return looks() > before; }, 10s));
    }
    EXPECT_LT(std::chrono::steady_clock::now() - began, 10s)
        << "it looked " << many << " times, but not for the events";
    raw({"DEL", "a"});
    ASSERT_EQ(waiter.wait_for(10s), std::future_status::ready);
    EXPECT_TRUE(waiter.get());
    EXPECT_TRUE(wait_for(
        [&] {
            return raw.number({"PUBLISH", events, "del"}) == 0;
        },
        10s))
        << "it hears no more";
}

TEST(interop_events, that_may_not_be_heard_change_nothing) {
    redis_server server({"--notify-keyspace-events", "KEA"});
    raw_client raw(server.port());
    ASSERT_EQ(raw.text({"ACL", "SETUSER", "app", "on", ">pw", "~*", "&holdfast:*", "+@all"}), "OK");
    auto locks = connect("redis://app:pw@127.0.0.1:" + std::to_string(server.port()));
    const auto refusals = [&] {
        const auto log = raw({"ACL", "LOG"});
        return log.items.empty() ? 0 : log.items[0].items.at(1).integer;
    };
    for (int i = 0; i < 2; ++i) {
        raw({"SET", "a", "somebody", "PX", "60000"});
        auto waiter = std::async(std::launch::async, [&] { return locks.mutex("a").acquire(); });
        ASSERT_TRUE(wait_for([&] { return raw.number({"LLEN", "holdfast:{a}:a:l"}) == 1; }, 10s));
        ASSERT_TRUE(wait_for([&] { return refusals() == 1; }, 10s)) << "it tried once";
        raw({"DEL", "a"});
        ASSERT_EQ(waiter.wait_for(10s), std::future_status::ready);
        EXPECT_TRUE(waiter.get());
    }
    EXPECT_EQ(refusals(), 1) << "and not again";
}

TEST_F(interop, our_hold_excludes_a_plain_client_and_its_release_script_leaves_us_alone) {
    auto locks = connect();
    auto held = locks.mutex("job").acquire();
    ASSERT_TRUE(held);
    EXPECT_EQ(raw_({"SET", "job", "other", "NX", "PX", "1000"}).type, redis::reply::kind::nil);
    EXPECT_EQ(
        raw_.number(
            {"EVAL",
             "if redis.call('get',KEYS[1]) == ARGV[1] then return redis.call('del',KEYS[1]) end return 0",
             "1", "job", "other"}),
        0);
    const long long left = raw_.number({"PTTL", "job"});
    EXPECT_GT(left, 5'000);
    EXPECT_LE(left, 10'000) << "without a line the key ends with the lease";
    ASSERT_TRUE(held->release());
    EXPECT_EQ(raw_.text({"SET", "job", "other", "NX", "PX", "1000"}), "OK");
}

TEST_F(interop, a_plain_client_cannot_slip_in_while_ours_hand_over) {
    auto locks = connect();
    auto first = locks.mutex("job").acquire();
    auto waiter = std::async(std::launch::async, [&] { return locks.mutex("job").acquire(); });
    ASSERT_TRUE(somebody_waits("job"));
    std::atomic<bool> stop{false};
    std::atomic<int> slipped{0};
    std::thread other([&] {
        raw_client client(server().port());
        while (!stop) {
            slipped += client.text({"SET", "job", "other", "NX", "PX", "1000"}) == "OK";
        }
    });
    EXPECT_TRUE(first->release());
    auto second = waiter.get();
    EXPECT_TRUE(second);
    stop = true;
    other.join();
    EXPECT_EQ(slipped, 0);
}

TEST_F(interop, the_lock_of_redis_py_and_ours_exclude_each_other) {
    const auto python = [&](const std::string& body) {
        const auto ran =
            run_process({"/usr/bin/python3", "-c",
                         "import redis, sys\nr = redis.Redis(port=" + std::to_string(server().port()) +
                             ")\nlock = r.lock('job', timeout=20)\n" + body},
                        30s, {.out = redirect::pipe(), .err = redirect::pipe()});
        EXPECT_TRUE(ran.status.ok()) << ran.err;
        return ran.out;
    };
    auto locks = connect();
    auto held = locks.mutex("job").acquire();
    ASSERT_TRUE(held);
    EXPECT_EQ(python("print(lock.acquire(blocking=False), lock.locked())"), "False True\n");
    ASSERT_TRUE(held->release());

    child_process theirs({"/usr/bin/python3", "-c",
                          "import redis, sys\nr = redis.Redis(port=" + std::to_string(server().port()) +
                              ")\nlock = r.lock('job', timeout=20)\nprint(lock.acquire(), flush=True)\n"
                              "sys.stdin.readline()\nlock.release()\nprint('released', flush=True)\n"},
                         {.out = redirect::pipe(), .input_pipe = true});
    ASSERT_EQ(theirs.read_line(20s), "True");
    EXPECT_EQ(code_of(locks.mutex("job").try_acquire()), errc::busy);
    auto waiter = std::async(std::launch::async, [&] { return locks.mutex("job").acquire(); });
    ASSERT_TRUE(somebody_waits("job"));
    ASSERT_TRUE(theirs.write_input("\n"));
    EXPECT_EQ(theirs.read_line(10s), "released") << "their release must still find their own value";
    EXPECT_TRUE(waiter.get());
}

TEST_F(interop, a_redisson_hash_on_the_name_excludes_ours) {
    auto locks = connect();
    raw_({"HSET", "job", "8743c9c0-0795-4907-87fd-6c719a6b4586:1", "1"});
    raw_({"PEXPIRE", "job", "30000"});
    EXPECT_EQ(code_of(locks.mutex("job").try_acquire()), errc::busy);
    auto waiter = std::async(std::launch::async, [&] { return locks.mutex("job").acquire(); });
    ASSERT_TRUE(somebody_waits("job"));
    EXPECT_EQ(raw_.text({"HGET", "job", "8743c9c0-0795-4907-87fd-6c719a6b4586:1"}), "1");
    raw_({"DEL", "job"});
    EXPECT_TRUE(waiter.get());
}

TEST_F(interop, a_key_without_ttl_excludes_ours_and_is_left_alone) {
    auto locks = connect();
    raw_({"SET", "job", "no ttl"});
    EXPECT_EQ(code_of(locks.mutex("job").try_acquire_for(200ms)), errc::timed_out);
    EXPECT_EQ(raw_.text({"GET", "job"}), "no ttl");
    EXPECT_EQ(raw_.number({"PTTL", "job"}), -1);
}

TEST_F(interop, a_foreign_holder_shows_in_the_list_where_ours_wait_behind_it) {
    auto locks = connect();
    raw_({"SET", "job", "somebody-else", "PX", "60000"});
    raw_({"SET", "data", "no lock at all"});
    std::stop_source stop;
    auto waiter =
        std::async(std::launch::async, [&] { return locks.mutex("job").acquire(stop.get_token()); });
    ASSERT_TRUE(somebody_waits("job"));
    const auto list = locks.list();
    ASSERT_TRUE(list);
    ASSERT_EQ(list->size(), 1U);
    EXPECT_EQ(list->front().name, "job");
    ASSERT_EQ(list->front().claims.size(), 2U);
    EXPECT_TRUE(list->front().claims[0].foreign);
    EXPECT_TRUE(list->front().claims[0].holds);
    EXPECT_FALSE(list->front().claims[1].holds);
    ASSERT_TRUE(list->front().claims[1].who);
    EXPECT_EQ(list->front().claims[1].who->pid, getpid());
    stop.request_stop();
    EXPECT_EQ(code_of(waiter.get()), errc::cancelled);
}

} // namespace
} // namespace holdfast::testing
