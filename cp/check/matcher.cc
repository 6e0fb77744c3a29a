#include "cp/check/matcher.h"

#include <array>

#include <fmt/format.h>

namespace sluice::cp {

void Matcher::FreeRegex::operator()(regex_t* regex) const noexcept {
  ::regfree(regex);
  delete regex;
}

base::Result<Matcher> Matcher::compile(const config::Expect& expect) {
  Matcher matcher;
  matcher.expect_ = expect;
  if (expect.match != config::Expect::Match::regex) return matcher;
  auto regex = std::make_unique<regex_t>();
  if (const int error = ::regcomp(regex.get(), expect.pattern.c_str(), REG_EXTENDED | REG_NOSUB);
      error != 0) {
    std::array<char, 128> words{};
    ::regerror(error, regex.get(), words.data(), words.size());
    return base::Error{base::ErrorCode::invalid,
                       fmt::format("regular expression \"{}\": {}", expect.pattern, words.data())};
  }
  matcher.regex_ = std::shared_ptr<const regex_t>(regex.release(), FreeRegex{});
  return matcher;
}

bool Matcher::found_in(std::string_view text) const {
  if (!regex_) return text.find(expect_.pattern) != std::string_view::npos;
  // With REG_STARTEND the text is what lies between the two, whatever bytes that is.
  regmatch_t match{};
  match.rm_so = 0;
  match.rm_eo = static_cast<regoff_t>(text.size());
  const char* start = text.data() != nullptr ? text.data() : "";
  return ::regexec(regex_.get(), start, 1, &match, REG_STARTEND) == 0;
}

}  // namespace sluice::cp
