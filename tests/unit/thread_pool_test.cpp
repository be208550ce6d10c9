// The thread pool: every worker runs, barriers order what is before and after them, errors come out, callers take turns.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/cpu_info.h"
#include "base/thread_pool.h"
#include "phial/error.h"

using namespace phial;

TEST_CASE("thread pool: each worker runs once per region, many regions in a row") {
  for (int n : {1, 2, 3, 8}) {
    ThreadPool pool(n);
    CHECK(pool.size() == n);
    std::vector<int> count(static_cast<size_t>(n));
    for (int i = 0; i < 500; ++i) pool.run([&](int w) { ++count[static_cast<size_t>(w)]; });
    for (int c : count) CHECK(c == 500);
  }
}

TEST_CASE("thread pool: workers that slept are woken") {
  ThreadPool pool(3);
  std::atomic<int> total{0};
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // longer than any spinning
    pool.run([&](int w) {
      if (w == i % 3) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      total += 1;
      pool.barrier(w);
      total += 1;
    });
  }
  CHECK(total == 30);
}

TEST_CASE("thread pool: a barrier separates phases, with more threads than cores too") {
  for (int n : {2, 3, 7}) {
    ThreadPool pool(n);
    std::vector<int> value(static_cast<size_t>(n));
    std::atomic<int> wrong{0};
    pool.run([&](int w) {
      for (int phase = 1; phase <= 100; ++phase) {
        value[static_cast<size_t>(w)] = phase;
        pool.barrier(w);
        for (int v : value) wrong += v != phase;
        pool.barrier(w);
      }
    });
    CHECK(wrong == 0);
  }
}

TEST_CASE("thread pool: the first exception is thrown to the caller and the pool goes on") {
  ThreadPool pool(3);
  CHECK_THROWS_AS(pool.run([](int w) {
    if (w == 2) throw std::runtime_error("worker");
  }),
                  std::runtime_error);
  CHECK_THROWS_AS(pool.parallel_for(1000, 1,
                                    [](int64_t i, int64_t, int) {
                                      if (i == 5) throw std::runtime_error("chunk");
                                    }),
                  std::runtime_error);
  std::atomic<int> ran{0};
  pool.run([&](int) { ++ran; });
  CHECK(ran == 3);
}

TEST_CASE("thread pool: two callers take turns; a region inside a region is refused") {
  ThreadPool pool(2);
  std::atomic<int> inside{0}, overlaps{0};
  const auto caller = [&] {
    for (int i = 0; i < 200; ++i)
      pool.run([&](int w) {
        if (w != 0) return;
        if (inside.fetch_add(1) != 0) ++overlaps;
        inside.fetch_sub(1);
      });
  };
  std::thread other(caller);
  caller();
  other.join();
  CHECK(overlaps == 0);
  CHECK_THROWS_AS(pool.run([&](int w) {
    if (w == 0) pool.run([](int) {});
  }),
                  Error);
}

TEST_CASE("thread pool: the number of workers that take part changes between regions") {
  ThreadPool pool(4);
  for (int round = 0; round < 200; ++round)
    for (int n : {1, 4, 2, 3}) {
      pool.use(n);
      CHECK(pool.size() == n);
      std::atomic<int> ran{0}, early{0};
      pool.run([&](int w) {
        ++ran;
        pool.barrier(w);
        early += ran != n;
      });
      CHECK(ran == n);
      CHECK(early == 0);
    }
  pool.use(99);
  CHECK(pool.size() == 4);
}

TEST_CASE("thread pool: a worker that was late to see a region without it takes part in the next one") {
  // More pools than processors, and a pause where the late worker must not go to sleep: a lost wake-up hangs here.
  std::vector<std::thread> users;
  std::atomic<int> wrong{0};
  for (int user = 0; user < 8; ++user)
    users.emplace_back([&] {
      ThreadPool pool(4);
      for (int round = 0; round < 2000; ++round)
        for (int n : {1, 4}) {
          pool.use(n);
          if (n == 4) std::this_thread::yield();
          std::atomic<int> ran{0};
          pool.run([&](int) { ++ran; });
          wrong += ran != n;
        }
    });
  for (std::thread& user : users) user.join();
  CHECK(wrong == 0);
}

TEST_CASE("thread pool: a region for those available waits for no one who has not begun, and for all who have") {
  // More threads than processors, so that workers come late or not at all; counts of a region that is over must not change.
  std::vector<std::thread> users;
  std::atomic<int> wrong{0};
  for (int user = 0; user < 4; ++user)
    users.emplace_back([&] {
      ThreadPool pool(4);
      for (int round = 0; round < 3000; ++round) {
        pool.use(2 + round % 3);
        std::atomic<int> next{0}, inside{0};
        std::vector<int> hits(16);
        pool.run_available([&](int) {
          inside.fetch_add(1);
          for (int i; (i = next.fetch_add(1)) < 16;) ++hits[static_cast<size_t>(i)];
          inside.fetch_sub(1);
        });
        wrong += inside != 0 || std::count(hits.begin(), hits.end(), 1) != 16;
        std::atomic<int> ran{0};
        pool.run([&](int) { ++ran; });
        wrong += ran != pool.size();
      }
    });
  for (std::thread& user : users) user.join();
  CHECK(wrong == 0);
}

TEST_CASE("thread pool: parallel_for covers the range once") {
  ThreadPool pool(4);
  std::vector<std::atomic<int>> hits(1003);
  pool.parallel_for(1003, 10, [&](int64_t begin, int64_t end, int worker) {
    CHECK(worker < 4);
    for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
  });
  for (const auto& h : hits) CHECK(h == 1);
  pool.parallel_for(0, 10, [](int64_t, int64_t, int) { FAIL("nothing to do"); });
}

TEST_CASE("cpu info: the cores counted are at least one and at most those the system has") {
  CHECK(usable_physical_cores() >= 1);
  CHECK(usable_physical_cores() <= static_cast<int>(std::thread::hardware_concurrency()));
  if (cpu_info().avx512_vnni) CHECK(cpu_info().avx512);
  if (cpu_info().avx512) CHECK(cpu_info().avx2);
}
