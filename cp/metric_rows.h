#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>

/// Metrics as tables: a row is one value of some struct, with its name, its help and how it is taken.
namespace sluice::cp {

using Families = std::vector<prometheus::MetricFamily>;
using Label = prometheus::ClientMetric::Label;
using Labels = std::vector<Label>;

inline constexpr auto kCounter = prometheus::MetricType::Counter;
inline constexpr auto kGauge = prometheus::MetricType::Gauge;

template <typename T>
struct MetricRow {
  const char* name;  ///< behind the prefix of the table; rows of the same name follow one another
  const char* help;
  prometheus::MetricType type;
  double (*value)(const T&);
  const char* label = nullptr;  ///< one that the objects' labels do not have
  const char* label_value = nullptr;
};

/// A value for MetricRow: field<&A::b, &B::c> is object.b.c as a number.
template <auto... Members>
inline constexpr auto field = [](const auto& object) { return static_cast<double>((object.*....*Members)); };
/// The same of one that is in milli- or microseconds, in seconds.
template <auto... Members>
inline constexpr auto ms_field = [](const auto& object) { return field<Members...>(object) / 1e3; };
template <auto... Members>
inline constexpr auto us_field = [](const auto& object) { return field<Members...>(object) / 1e6; };

/// An object whose values are to be shown, and the labels that tell it from others.
template <typename T>
struct Sample {
  Labels labels;
  T object;
};

/// The family `name`, which is made where it is not the last one.
inline prometheus::MetricFamily& family(Families& families, std::string name, std::string_view help,
                                        prometheus::MetricType type) {
  if (families.empty() || families.back().name != name)
    families.push_back({std::move(name), std::string(help), type, {}});
  return families.back();
}

inline void add_series(prometheus::MetricFamily& family, Labels labels, double value) {
  prometheus::ClientMetric& series = family.metric.emplace_back();
  series.label = std::move(labels);
  (family.type == kCounter ? series.counter.value : series.gauge.value) = value;
}

/// A family of one series without labels.
inline void add_gauge(Families& families, const char* name, const char* help, double value) {
  add_series(family(families, name, help, kGauge), {}, value);
}

/// All rows, of all samples each; no sample, no family.
template <typename T, std::size_t N>
void add_rows(Families& families, std::string_view prefix, const std::array<MetricRow<T>, N>& rows,
              const std::vector<Sample<T>>& samples) {
  if (samples.empty()) return;
  for (const MetricRow<T>& row : rows) {
    prometheus::MetricFamily& to = family(families, std::string(prefix).append(row.name), row.help, row.type);
    for (const Sample<T>& sample : samples) {
      Labels labels = sample.labels;
      if (row.label != nullptr) labels.push_back({row.label, row.label_value});
      add_series(to, std::move(labels), row.value(sample.object));
    }
  }
}

/// One of the states `names` as a gauge a state: 1 for `now`, 0 for the others.
inline void add_states(prometheus::MetricFamily& family, const Labels& labels, std::string_view now,
                       std::span<const std::string_view> names) {
  for (const std::string_view name : names) {
    Labels with_state = labels;
    with_state.push_back({"state", std::string(name)});
    add_series(family, std::move(with_state), name == now ? 1 : 0);
  }
}

}  // namespace sluice::cp
