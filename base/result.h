#pragma once

#include <cassert>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

namespace sluice::base {

/// What kind of failure; decides exit codes and whether a retry makes sense. The sentence is in
/// Error::message.
enum class ErrorCode : unsigned char {
  invalid,      ///< what was asked for is wrong in itself
  not_found,    ///< the object named does not exist
  exists,       ///< the object named exists already, or is in use
  permission,   ///< the process lacks a right
  exhausted,    ///< memory, descriptors, table space
  unavailable,  ///< the other side is not there; may come back
  system,       ///< a system or library call failed
};

/// A failure as a value: a code, and one sentence that names the object and the value.
struct [[nodiscard]] Error {
  ErrorCode code = ErrorCode::invalid;
  std::string message;
};

/// `message` + ": " + strerror(`error_number`), code by errno (EPERM/EACCES permission, ENOENT/ENODEV
/// not_found, EEXIST/EBUSY/EADDRINUSE exists, ENOMEM/EMFILE/ENFILE/ENOSPC exhausted, ECONNREFUSED
/// unavailable, else system).
Error system_error(std::string message, int error_number);

/// A value or an Error, with std::expected's names (libstdc++ 12 has <expected> only beyond C++20).
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit on purpose

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  /// Pre: has_value().
  T& operator*() & noexcept { return *checked(); }
  const T& operator*() const& noexcept { return *const_cast<Result*>(this)->checked(); }
  T&& operator*() && noexcept { return std::move(*checked()); }
  T* operator->() noexcept { return checked(); }
  const T* operator->() const noexcept { return const_cast<Result*>(this)->checked(); }

  /// Pre: !has_value().
  Error& error() & noexcept { return *failed(); }
  const Error& error() const& noexcept { return *const_cast<Result*>(this)->failed(); }
  Error&& error() && noexcept { return std::move(*failed()); }

  /// f(T) -> Result<U>, called only when there is a value.
  template <typename F>
  auto and_then(F&& f) && -> std::invoke_result_t<F, T&&> {
    if (!has_value()) return std::move(*failed());
    return std::forward<F>(f)(std::move(*checked()));
  }
  /// f(T) -> U, called only when there is a value.
  template <typename F>
  auto transform(F&& f) && -> Result<std::invoke_result_t<F, T&&>> {
    if (!has_value()) return std::move(*failed());
    return std::forward<F>(f)(std::move(*checked()));
  }
  T value_or(T fallback) && { return has_value() ? std::move(*checked()) : std::move(fallback); }

 private:
  T* checked() noexcept {
    assert(has_value());
    return std::get_if<0>(&state_);
  }
  Error* failed() noexcept {
    assert(!has_value());
    return std::get_if<1>(&state_);
  }
  std::variant<T, Error> state_;
};

/// Success without a value.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)), failed_(true) {}  // NOLINT: implicit on purpose

  [[nodiscard]] bool has_value() const noexcept { return !failed_; }
  explicit operator bool() const noexcept { return has_value(); }
  /// Pre: !has_value().
  [[nodiscard]] const Error& error() const& noexcept {
    assert(failed_);
    return error_;
  }
  Error&& error() && noexcept {
    assert(failed_);
    return std::move(error_);
  }

 private:
  Error error_;
  bool failed_ = false;
};

}  // namespace sluice::base
