//===- ReportPage.cpp - what quantizing did to a model: the page ------------------------------------------------===//
//
// Plain HTML with drawings in SVG: one file that needs no other and runs nothing.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "quantc/Driver/Report.h"
#include <algorithm>
#include <cmath>
#include <map>

using namespace quantc;
using nlohmann::ordered_json;

static constexpr const char *style = R"(
body { font: 15px/1.45 system-ui, sans-serif; color: #1d2733; background: #fff; max-width: 1080px }
body { margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.5em; margin-bottom: .2em }
h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #d9dee4; padding-bottom: .2em }
p.note { color: #5b6875; margin: .3em 0 .8em }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: .22em .7em; text-align: right; white-space: nowrap }
th { border-bottom: 1px solid #8b97a3; font-weight: 600 }
td:first-child, th:first-child, td.text, th.text { text-align: left }
tr:nth-child(even) td { background: #f5f7f9 }
.facts td { background: none !important; text-align: left }
.facts td:first-child { color: #5b6875 }
svg { font: 11px system-ui, sans-serif }
text { fill: #3b4855 }
.axis { stroke: #8b97a3 }
.grid { stroke: #e4e8ec }
.mark { fill: #2a6fb0 }
.line { fill: none; stroke: #2a6fb0; stroke-width: 1.5 }
.chosen { fill: #c8401f }
.bar { fill: #7ea8cf }
)";

static std::string escaped(std::string_view text) {
  std::string result;
  for (char c : text)
    result += c == '&'   ? std::string("&amp;")
              : c == '<' ? std::string("&lt;")
              : c == '>' ? std::string("&gt;")
              : c == '"' ? std::string("&quot;")
                         : std::string(1, c);
  return result;
}

static std::string megabytes(double bytes) {
  return fmt::format("{:.2f} MB", bytes / 1e6);
}

//===- Drawings -------------------------------------------------------------------------------------------------===//

namespace {
/// A scale of numbers to pixels; of logarithms where they span decades.
struct Axis {
  double low, high, from, to;
  bool logarithmic;

  double at(double value) const {
    const auto scaled = [&](double v) { return logarithmic ? std::log10(v) : v; };
    return from + (scaled(value) - scaled(low)) / (scaled(high) - scaled(low)) * (to - from);
  }
};
} // namespace

/// Bounds of positive numbers as powers of ten.
static std::pair<double, double> decades(const std::vector<double> &values) {
  double low = INFINITY, high = 0;
  for (double value : values)
    if (value > 0) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
  if (high == 0)
    return {1e-6, 1};
  low = std::pow(10, std::floor(std::log10(low)));
  high = std::pow(10, std::ceil(std::log10(high)));
  return {low, high > low ? high : low * 10};
}

static std::string decadeLines(const Axis &y, double left, double right) {
  std::string lines;
  for (double power = y.low; power <= y.high * 1.01; power *= 10)
    lines += fmt::format("<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{1:.1f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
                         "<text x=\"{3:.1f}\" y=\"{4:.1f}\" text-anchor=\"end\">1e{5:.0f}</text>\n",
                         left, right, y.at(power), left - 6, y.at(power) + 4, std::log10(power));
  return lines;
}

/// A histogram as small as a word.
static std::string histogram(const ordered_json &counts) {
  double most = 1;
  for (const auto &count : counts)
    most = std::max(most, count.get<double>());
  constexpr double width = 3, height = 22;
  std::string bars;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double tall = height * counts[i].get<double>() / most;
    if (tall > 0)
      bars += fmt::format("<rect x=\"{:.0f}\" y=\"{:.1f}\" width=\"{:.0f}\" height=\"{:.1f}\"/>", width * double(i),
                          height - tall, width, tall);
  }
  return fmt::format("<svg class=\"bar\" width=\"{0:.0f}\" height=\"{1:.0f}\" role=\"img\">{2}</svg>",
                     width * double(counts.size()), height, bars);
}

/// The error of each tensor, in the order of the model.
static std::string errorChart(const ordered_json &tensors) {
  std::vector<double> errors;
  for (const auto &tensor : tensors)
    if (tensor.at("nmse").is_number() && tensor.at("nmse").get<double>() > 0)
      errors.push_back(tensor.at("nmse").get<double>());
  if (errors.empty())
    return "";
  constexpr double width = 1040, height = 260, left = 50, bottom = 240;
  const auto [low, high] = decades(errors);
  const Axis y{low, high, bottom, 10, true};
  const double step = (width - left) / double(errors.size());
  std::string svg = fmt::format("<svg width=\"{:.0f}\" height=\"{:.0f}\" role=\"img\">\n", width, height);
  svg += decadeLines(y, left, width);
  size_t place = 0;
  for (const auto &tensor : tensors) {
    if (!tensor.at("nmse").is_number() || tensor.at("nmse").get<double>() <= 0)
      continue;
    const double top = y.at(tensor.at("nmse").get<double>());
    svg +=
        fmt::format("<rect class=\"mark\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"><title>{}: {}, "
                    "NMSE {:.3g}</title></rect>\n",
                    left + step * double(place++) + step * 0.1, top, std::max(0.5, step * 0.8), bottom - top,
                    escaped(tensor.at("name").get<std::string>()), escaped(tensor.at("format").get<std::string>()),
                    tensor.at("nmse").get<double>());
  }
  return svg + fmt::format("<line class=\"axis\" x1=\"{0:.0f}\" x2=\"{1:.0f}\" y1=\"{2:.0f}\" y2=\"{2:.0f}\"/></svg>\n",
                           left, width, bottom);
}

/// Divergence over size: the frontier of sums, measured formats, and what was chosen.
static std::string paretoPlot(const ordered_json &budget) {
  std::vector<double> sizes{budget.at("bytes").get<double>()}, harms{budget.at("rounded_kl_divergence").get<double>()};
  for (const char *key : {"frontier", "uniform"})
    for (const auto &point : budget.at(key)) {
      sizes.push_back(point.at("bytes").get<double>());
      harms.push_back(point.at("kl_divergence").get<double>());
    }
  constexpr double width = 760, height = 420, left = 60, bottom = 380;
  const auto [smallest, largest] = std::ranges::minmax(sizes);
  const double margin = std::max(1.0, (largest - smallest) * 0.04);
  const Axis x{smallest - margin, largest + margin, left, width - 60, false};
  const auto [low, high] = decades(harms);
  const Axis y{low, high, bottom, 10, true};
  std::string svg = fmt::format("<svg width=\"{:.0f}\" height=\"{:.0f}\" role=\"img\">\n", width, height);
  svg += decadeLines(y, left, width - 60);
  for (int i = 0; i <= 5; ++i) {
    const double size = smallest + (largest - smallest) * i / 5;
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.0f}\" text-anchor=\"middle\">{}</text>\n", x.at(size), bottom + 18,
                       megabytes(size));
  }
  const auto placed = [&](const ordered_json &point) {
    return std::pair(x.at(point.at("bytes").get<double>()),
                     y.at(std::max(low, point.at("kl_divergence").get<double>())));
  };
  std::string path;
  for (const auto &point : budget.at("frontier")) {
    const auto [px, py] = placed(point);
    path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "M" : " L", px, py);
  }
  svg += fmt::format("<path class=\"line\" d=\"{}\"/>\n", path);
  for (const auto &point : budget.at("uniform")) {
    const auto [px, py] = placed(point);
    svg += fmt::format("<circle class=\"mark\" cx=\"{0:.1f}\" cy=\"{1:.1f}\" r=\"3.5\"/><text x=\"{2:.1f}\" "
                       "y=\"{3:.1f}\">{4}</text>\n",
                       px, py, px + 6, py - 5, escaped(point.at("format").get<std::string>()));
  }
  svg +=
      fmt::format("<circle class=\"chosen\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\"/><text x=\"{:.1f}\" y=\"{:.1f}\">chosen"
                  "</text>\n",
                  x.at(sizes.front()), y.at(std::max(low, harms.front())), x.at(sizes.front()) + 8,
                  y.at(std::max(low, harms.front())) + 14);
  return svg + fmt::format("<line class=\"axis\" x1=\"{0:.0f}\" x2=\"{1:.0f}\" y1=\"{2:.0f}\" y2=\"{2:.0f}\"/></svg>\n",
                           left, width - 60, bottom);
}

//===- Parts of the page ----------------------------------------------------------------------------------------===//

static std::string facts(const ordered_json &report) {
  const auto row = [](std::string_view what, const std::string &value) {
    return fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", what, escaped(value));
  };
  std::string text = "<table class=\"facts\">\n";
  text += row("model", report.at("model").get<std::string>()) + row("result", report.at("output").get<std::string>());
  text += row("size", fmt::format("{}, {:.3f} bits per weight, {} tensors", megabytes(report.at("bytes").get<double>()),
                                  report.at("bits_per_weight").get<double>(), report.at("tensors").size()));
  text += row("method", report.at("method").get<std::string>());
  if (report.contains("calibration"))
    text += row("learned from", fmt::format("{}, at most {} sequences of {} tokens",
                                            report["calibration"].at("file").get<std::string>(),
                                            report["calibration"].at("sequences").get<int64_t>(),
                                            report["calibration"].at("length").get<int64_t>()));
  return text + row("made by", report.at("tool").get<std::string>()) + "</table>\n";
}

static std::string evaluation(const ordered_json &found) {
  const ordered_json &after = found.at("after");
  return fmt::format(
      "<h2>Before and after</h2>\n<p class=\"note\">On {}: {} tokens scored, in chunks of {}. Divergence is "
      "the mean KL divergence of the predictions from those of the model before, in nats.</p>\n"
      "<table><tr><th></th><th>perplexity</th><th>KL divergence</th><th>same most likely "
      "token</th></tr>\n<tr><td>before</td><td>{:.4f}</td><td>0</td><td>100 %</td></tr>\n"
      "<tr><td>after</td><td>{:.4f}</td><td>{:.4g}</td><td>{:.2f} %</td></tr></table>\n",
      escaped(found.at("text").get<std::string>()), found.at("tokens").get<int64_t>(),
      found.at("context").get<int64_t>(), found.at("before").at("perplexity").get<double>(),
      after.at("perplexity").get<double>(), after.at("kl_divergence").get<double>(),
      after.at("top1").get<double>() * 100);
}

static std::string budgetPart(const ordered_json &budget) {
  std::string text = fmt::format(
      "<h2>Budget</h2>\n<p class=\"note\">Each matrix was quantized alone to each candidate, and the model run on {} "
      "tokens. "
      "The line is the best that sums of these divergences promise for a size; points were measured with the whole "
      "model rounded to nearest. Chosen: {}, {:.4f} bits per weight; KL divergence {:.4g} by the sum, {:.4g} "
      "rounded{}.</p>\n",
      budget.at("tokens").get<int64_t>(), megabytes(budget.at("bytes").get<double>()),
      budget.at("bits_per_weight").get<double>(), budget.at("predicted_kl_divergence").get<double>(),
      budget.at("rounded_kl_divergence").get<double>(),
      budget.at("measured_kl_divergence").is_null()
          ? ""
          : fmt::format(", {:.4g} of the file", budget.at("measured_kl_divergence").get<double>()));
  text += paretoPlot(budget);
  std::vector<std::string> formats;
  for (const auto &tensor : budget.at("tensors"))
    for (const auto &one : tensor.at("candidates"))
      if (const auto format = one.at("format").get<std::string>(); std::ranges::find(formats, format) == formats.end())
        formats.push_back(format);
  text += "<p class=\"note\">KL divergence · 10⁻⁶ when only this tensor is quantized:</p>\n<table><tr><th>tensor</th>"
          "<th class=\"text\">chosen</th>";
  for (const std::string &format : formats)
    text += "<th>" + escaped(format) + "</th>";
  text += "</tr>\n";
  for (const auto &tensor : budget.at("tensors")) {
    text += fmt::format("<tr><td>{}</td><td class=\"text\">{}</td>", escaped(tensor.at("name").get<std::string>()),
                        escaped(tensor.at("chosen").get<std::string>()));
    std::map<std::string, double> byFormat;
    for (const auto &one : tensor.at("candidates"))
      byFormat[one.at("format").get<std::string>()] = one.at("kl_divergence").get<double>();
    for (const std::string &format : formats)
      text += byFormat.contains(format) ? fmt::format("<td>{:.3g}</td>", byFormat[format] * 1e6) : "<td></td>";
    text += "</tr>\n";
  }
  return text + "</table>\n";
}

static std::string tensorTable(const ordered_json &tensors) {
  std::string text =
      "<h2>Tensors</h2>\n<p class=\"note\">NMSE: squared error over squared size. Histograms of the weights before, "
      "from "
      "−4 to 4 times their root mean square; outliers lie beyond 6 times. Kurtosis is 3 where weights are normally "
      "distributed.</p>\n<table><tr><th>tensor</th><th>shape</th><th class=\"text\">format</th><th "
      "class=\"text\">method</th><th>bits</th><th>NMSE</th><th>largest / rms</th><th>outliers</th><th>kurtosis</th><th "
      "class=\"text\">weights</th></tr>\n";
  for (const auto &tensor : tensors) {
    std::string shape;
    for (const auto &extent : tensor.at("shape"))
      shape += (shape.empty() ? "" : " × ") + std::to_string(extent.get<int64_t>());
    text += fmt::format(
        "<tr><td>{}</td><td>{}</td><td class=\"text\">{}</td><td class=\"text\">{}</td><td>{:.3f}</td><td>{}"
        "</td>",
        escaped(tensor.at("name").get<std::string>()), shape, escaped(tensor.at("format").get<std::string>()),
        escaped(tensor.at("method").get<std::string>()), tensor.at("bits_per_weight").get<double>(),
        tensor.at("method").get<std::string>().empty()
            ? "kept"
            : fmt::format("{:.3g}", tensor.at("nmse").is_number() ? tensor.at("nmse").get<double>() : NAN));
    if (tensor.contains("rms")) {
      const double rms = tensor.at("rms").get<double>();
      text +=
          fmt::format("<td>{:.1f}</td><td>{}</td><td>{:.2f}</td><td class=\"text\">{}</td>",
                      rms > 0 ? tensor.at("largest").get<double>() / rms : 0.0, tensor.at("outliers").get<uint64_t>(),
                      tensor.at("kurtosis").get<double>(), histogram(tensor.at("histogram")));
    }
    text += "</tr>\n";
  }
  return text + "</table>\n";
}

std::string quantc::reportPage(const ordered_json &report) {
  std::string page =
      fmt::format("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>quantc: {0}</title>"
                  "<style>{1}</style></head><body>\n<h1>{0}</h1>\n",
                  escaped(std::filesystem::path(report.at("output").get<std::string>()).filename().string()), style);
  page += facts(report);
  if (report.contains("evaluation"))
    page += evaluation(report.at("evaluation"));
  if (report.contains("budget"))
    page += budgetPart(report.at("budget"));
  const std::string chart = errorChart(report.at("tensors"));
  if (!chart.empty())
    page += "<h2>Error of each tensor</h2>\n<p class=\"note\">NMSE, in the order of the file; those that were kept are "
            "left "
            "out.</p>\n" +
            chart;
  return page + tensorTable(report.at("tensors")) + "</body></html>\n";
}
