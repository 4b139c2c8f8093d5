#include "etcd_place.hpp"

namespace holdfast::bench {

etcd_place::etcd_place(int members) {
    if (members == 1) {
        one_ = std::make_unique<testing::etcd_server>();
        endpoints_ = one_->endpoint();
        folder_ = one_->folder();
        return;
    }
    three_ = std::make_unique<testing::etcd_cluster>();
    const std::size_t leader = three_->await_leader();
    for (std::size_t next = 0; next < testing::etcd_cluster::size; ++next) {
        const auto& member = three_->member((leader + next) % testing::etcd_cluster::size);
        endpoints_ += (next == 0 ? "" : ",") + member.endpoint();
    }
    folder_ = three_->member(0).folder();
}

std::unique_ptr<crew> etcd_place::ours(int processes, int threads, const std::string& kind) const {
    return crew::of_takers(kind, url(), "bench", processes, threads, board("ours-" + kind));
}

std::unique_ptr<crew> etcd_place::go(int processes, int threads, bool own_names) const {
    const auto program = own_folder() / "bench-peers" / "etcd_mutex";
    if (!std::filesystem::exists(program)) {
        return nullptr;
    }
    std::vector<std::string> argv{program.string(), endpoint(), "bench-go", std::to_string(threads)};
    if (own_names) {
        argv.emplace_back("each");
    }
    return crew::of_program(argv, processes);
}

} // namespace holdfast::bench
