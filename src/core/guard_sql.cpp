// The guarded UPDATE, for three dialects.
#include <holdfast/guard.hpp>

#include <algorithm>

namespace holdfast {

namespace {

constexpr std::size_t longest_name = 63;

bool is_name(std::string_view text) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    return !text.empty() && text.size() <= longest_name && letter(text.front()) &&
           std::all_of(text.begin(), text.end(), [&](char c) { return letter(c) || digit(c); });
}

bool is_table(std::string_view text) {
    const auto dot = text.find('.');
    return dot == std::string_view::npos ? is_name(text)
                                         : is_name(text.substr(0, dot)) && is_name(text.substr(dot + 1));
}

std::string quoted(std::string_view name, sql_dialect dialect) {
    const char mark = dialect == sql_dialect::mysql ? '`' : '"';
    std::string text(1, mark);
    for (const char c : name) {
        if (c == '.') {
            text += {mark, '.', mark};
        } else {
            text += c;
        }
    }
    return text + mark;
}

/// Numbers placeholders, or not.
class placeholders {
  public:
    explicit placeholders(sql_dialect dialect) : numbered_(dialect == sql_dialect::postgresql) {}
    std::string at(std::size_t number) const { return numbered_ ? "$" + std::to_string(number) : "?"; }

  private:
    const bool numbered_;
};

result<void> check(const sql_guard::layout& of) {
    if (!is_table(of.table)) {
        return error(errc::misuse, "'" + of.table + "' is not the name of a table");
    }
    std::vector<std::string> columns = of.values;
    columns.insert(columns.end(), {of.key, of.fence, of.owner});
    for (const auto& each : columns) {
        if (!is_name(each)) {
            return error(errc::misuse, "'" + each + "' is not the name of a column");
        }
    }
    std::sort(columns.begin(), columns.end());
    const auto twice = std::adjacent_find(columns.begin(), columns.end());
    if (twice != columns.end()) {
        return error(errc::misuse, "the column '" + *twice + "' is named twice");
    }
    return {};
}

} // namespace

result<sql_guard> sql_guard::make(layout of) {
    if (const auto fits = check(of); !fits) {
        return fits.error();
    }
    const placeholders p(of.dialect);
    const auto name = [&](const std::string& each) { return quoted(each, of.dialect); };
    std::string text = "UPDATE " + name(of.table) + " SET ";
    std::size_t number = 0;
    for (const auto& column : of.values) {
        text += name(column) + " = " + p.at(++number) + ", ";
    }
    const std::size_t token = ++number;
    const std::size_t owner = ++number;
    const std::size_t key = ++number;
    text += name(of.fence) + " = " + p.at(token) + ", " + name(of.owner) + " = " + p.at(owner);
    text += " WHERE " + name(of.key) + " = " + p.at(key);
    text += " AND (" + name(of.fence) + " < " + p.at(token) + " OR (" + name(of.fence) + " = " + p.at(token) +
            " AND " + name(of.owner) + " = " + p.at(owner) + "))";
    return sql_guard(std::move(of), std::move(text));
}

std::vector<std::string> sql_guard::add_columns() const {
    const std::string add = "ALTER TABLE " + quoted(of_.table, of_.dialect) + " ADD COLUMN ";
    return {add + quoted(of_.fence, of_.dialect) + " bigint NOT NULL DEFAULT 0",
            add + quoted(of_.owner, of_.dialect) + " varchar(64) NOT NULL DEFAULT ''"};
}

result<std::vector<std::string>> sql_guard::parameters(const held& by, std::vector<std::string> values,
                                                       std::string key) const {
    if (values.size() != of_.values.size()) {
        return error(errc::misuse, "the guard of " + of_.table + " writes " +
                                       std::to_string(of_.values.size()) + " columns, not " +
                                       std::to_string(values.size()));
    }
    const auto mine = fence_of(by);
    if (!mine) {
        return mine.error();
    }
    const std::string token = std::to_string(mine->token.value());
    values.insert(values.end(), {token, mine->owner, std::move(key)});
    if (of_.dialect != sql_dialect::postgresql) { // There every use has a placeholder of its own.
        values.insert(values.end(), {token, token, mine->owner});
    }
    return values;
}

result<void> sql_guard::judge(std::uint64_t rows) {
    if (rows == 1) {
        return {};
    }
    if (rows == 0) {
        return error(errc::lost, "no row was changed: somebody with a higher token has written it, or it is "
                                 "not there");
    }
    return error(errc::misuse, std::to_string(rows) + " rows were changed: the key does not tell one row");
}

} // namespace holdfast
