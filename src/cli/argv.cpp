#include "cli/argv.hpp"

#include <algorithm>
#include <numeric>

namespace holdfast::cli {
namespace {

/// Edit distance where a swap of neighbours counts once: it is the commonest slip of fingers.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> last(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(last.begin(), last.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + change});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = std::min(row[j], before[j - 2] + 1);
            }
        }
        before.swap(last);
        last.swap(row);
    }
    return last[b.size()];
}

const option_shape* find_long(const std::vector<option_shape>& known, std::string_view name) {
    const auto found = std::find_if(known.begin(), known.end(), [name](const option_shape& shape) {
        return shape.long_name == name ||
               std::find(shape.aliases.begin(), shape.aliases.end(), name) != shape.aliases.end();
    });
    return found == known.end() ? nullptr : &*found;
}

const option_shape* find_letter(const std::vector<option_shape>& known, char letter) {
    const auto found = std::find_if(known.begin(), known.end(), [letter](const option_shape& shape) {
        return std::find(shape.letters.begin(), shape.letters.end(), letter) != shape.letters.end();
    });
    return found == known.end() ? nullptr : &*found;
}

[[noreturn]] void refuse_unknown_long(const std::vector<option_shape>& known, std::string_view name) {
    std::vector<std::string> names;
    for (const option_shape& shape : known) {
        names.push_back(shape.long_name);
        names.insert(names.end(), shape.aliases.begin(), shape.aliases.end());
    }
    std::string message = "unknown option '--" + std::string(name) + "'";
    if (const auto guess = nearest(name, names)) {
        message += "; did you mean '--" + *guess + "'?";
    }
    throw usage_error(message);
}

/// Walks over the arguments; each read_* consumes what it read.
class cutter {
  public:
    cutter(const std::vector<std::string>& arguments, const std::vector<option_shape>& known)
        : arguments_(arguments), known_(known) {}

    cut_argv run(std::size_t word_count) {
        while (next_ < arguments_.size()) {
            const std::string& argument = arguments_[next_];
            // A name that begins with a dash takes two of them: run -- -name -- command.
            if (argument == "--" && (!options_ended_ || out_.words.size() == word_count)) {
                options_ended_ = true;
                ++next_;
                if (out_.words.size() == word_count) {
                    break;
                }
            } else if (!options_ended_ && argument.size() > 1 && argument.front() == '-') {
                ++next_;
                if (argument[1] == '-') {
                    read_long(std::string_view(argument).substr(2));
                } else {
                    read_letters(std::string_view(argument).substr(1));
                }
            } else if (out_.words.size() < word_count) {
                out_.words.push_back(argument);
                ++next_;
            } else {
                break;
            }
        }
        out_.rest.assign(arguments_.begin() + static_cast<std::ptrdiff_t>(next_), arguments_.end());
        return std::move(out_);
    }

  private:
    void read_long(std::string_view text) {
        const std::size_t equals = text.find('=');
        const std::string_view name = text.substr(0, equals);
        const option_shape* shape = find_long(known_, name);
        if (shape == nullptr) {
            refuse_unknown_long(known_, name);
        }
        const std::string shown = "--" + std::string(name);
        if (!shape->takes_value) {
            if (equals != std::string_view::npos) {
                throw usage_error("option '" + shown + "' takes no value");
            }
            out_.options.push_back({shape->long_name, std::nullopt});
        } else if (equals != std::string_view::npos) {
            out_.options.push_back({shape->long_name, std::string(text.substr(equals + 1))});
        } else {
            out_.options.push_back({shape->long_name, take_value(shown)});
        }
    }

    void read_letters(std::string_view letters) {
        while (!letters.empty()) {
            const std::string shown = std::string("-") + letters.front();
            const option_shape* shape = find_letter(known_, letters.front());
            if (shape == nullptr) {
                throw usage_error("unknown option '" + shown + "'");
            }
            letters.remove_prefix(1);
            if (!shape->takes_value) {
                out_.options.push_back({shape->long_name, std::nullopt});
            } else {
                out_.options.push_back(
                    {shape->long_name, letters.empty() ? take_value(shown) : std::string(letters)});
                return;
            }
        }
    }

    std::string take_value(const std::string& shown) {
        if (next_ == arguments_.size()) {
            throw usage_error("option '" + shown + "' needs a value");
        }
        return arguments_[next_++];
    }

    const std::vector<std::string>& arguments_;
    const std::vector<option_shape>& known_;
    std::size_t next_ = 0;
    bool options_ended_ = false;
    cut_argv out_;
};

} // namespace

cut_argv cut(const std::vector<std::string>& arguments, const std::vector<option_shape>& known,
             std::size_t word_count) {
    return cutter(arguments, known).run(word_count);
}

std::optional<std::string> nearest(std::string_view text, const std::vector<std::string>& candidates) {
    std::optional<std::string> best;
    std::size_t best_distance = std::max<std::size_t>(1, text.size() / 3) + 1;
    for (const std::string& candidate : candidates) {
        const std::size_t found = distance(text, candidate);
        if (found < best_distance) {
            best_distance = found;
            best = candidate;
        }
    }
    return best;
}

} // namespace holdfast::cli
