// The ticker's SVG: the chart of one symbol, the sparklines in the table, the bars of the feed's rate.
"use strict";

/** The shortest and the longest time span of the chart, in milliseconds. */
const CHART_SPAN_MIN = 8_000;
const CHART_SPAN_MAX = 60_000;
const MARGIN = { top: 12, right: 64, bottom: 22, left: 4 };

const decimals = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const money = (cents) => decimals.format(cents / 100);

function svg(tag, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Returns how a course moves from its first to its last price, in cents. */
function trend(points) {
  const prices = points.filter(([, cents]) => cents !== null);
  return prices.length ? prices.at(-1)[1] - prices[0][1] : 0;
}

/** Cuts a course at its gaps, the points without a price; returns the pieces, and from when to when each gap lasts. */
function cut(points, now) {
  const [pieces, gaps] = [[], []];
  let piece = null;
  for (const [at, point] of points.entries()) {
    const [when, cents] = point;
    if (cents === null) {
      // A price holds until it changes, also until the connection is lost.
      piece?.push([when, piece.at(-1)[1]]);
      piece = null;
      gaps.push([when, points[at + 1]?.[0] ?? now]);
    } else {
      if (!piece) pieces.push((piece = []));
      piece.push(point);
    }
  }
  piece?.push([now, piece.at(-1)[1]]);
  return { pieces, gaps };
}

/** Returns the points of the last minute. */
const chartPoints = (points, now) => points.filter(([when]) => now - when <= CHART_SPAN_MAX);

const path = (points) => points.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** Returns round numbers that cut a range into about `parts` parts. */
function ticks(from, to, parts) {
  const rough = (to - from) / parts;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 5, 10].map((factor) => factor * size).find((nice) => nice >= rough));
  const marks = [];
  for (let mark = Math.ceil(from / step) * step; mark <= to; mark += step) marks.push(mark);
  return marks;
}

/**
 * Draws the last minute of a symbol's prices, `[when, cents]` each, to the size of the element. A point without a price
 * begins a gap: the page had no connection.
 */
function drawChart(chart, shown, open, now, isLost) {
  const { clientWidth: width, clientHeight: height } = chart;
  const prices = shown.map(([, cents]) => cents).filter((cents) => cents !== null);
  if (width === 0) return;
  if (prices.length === 0) {
    if (!isLost) return;
    const label = svg("text", { class: "gap-label", x: width / 2, y: height / 2 }, "no connection");
    chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
    return chart.replaceChildren(chart.querySelector("title"), label);
  }
  const span = Math.max(CHART_SPAN_MIN, now - shown[0][0]);
  const room = Math.max(4, (Math.max(...prices) - Math.min(...prices)) * 0.15);
  const [low, high] = [Math.min(...prices) - room, Math.max(...prices) + room];
  const [right, bottom] = [width - MARGIN.right, height - MARGIN.bottom];
  const x = (when) => right - ((now - when) / span) * (right - MARGIN.left);
  const y = (cents) => bottom - ((cents - low) / (high - low)) * (bottom - MARGIN.top);

  const drawn = [];
  for (const cents of ticks(low, high, height / 60)) {
    drawn.push(svg("line", { class: "grid", x1: MARGIN.left, x2: right, y1: y(cents), y2: y(cents) }));
    drawn.push(svg("text", { x: right + 10, y: y(cents) + 4 }, money(cents)));
  }
  for (const seconds of ticks(0, span / 1000, 6)) {
    const [label, anchor] = seconds ? [`${seconds} s`, "middle"] : ["now", "end"];
    const at = x(now - seconds * 1000);
    if (at > MARGIN.left + 12) drawn.push(svg("text", { x: at, y: height - 4, "text-anchor": anchor }, label));
  }
  if (open > low && open < high) drawn.push(svg("line", { class: "open", x1: MARGIN.left, x2: right, y1: y(open), y2: y(open) }));

  const { pieces, gaps } = cut(shown, now);
  for (const [from, to] of gaps) {
    const [begin, end] = [x(from), x(to)];
    drawn.push(svg("rect", { class: "gap", x: begin, y: MARGIN.top, width: Math.max(0, end - begin), height: bottom - MARGIN.top }));
    if (end - begin > 90) drawn.push(svg("text", { class: "gap-label", x: (begin + end) / 2, y: MARGIN.top + 18 }, "no connection"));
  }
  const courses = pieces.map((piece) => piece.map(([when, cents]) => [x(when), y(cents)]));
  for (const course of courses) {
    const [[begin], [end]] = [course[0], course.at(-1)].map(([at]) => [at.toFixed(1)]);
    drawn.push(svg("path", { class: "area", d: `${path(course)}L${end} ${bottom}L${begin} ${bottom}Z` }));
  }
  drawn.push(svg("path", { class: "line", d: courses.map(path).join("") }));
  const [, last] = shown.at(-1);
  if (last !== null) {
    drawn.push(svg("circle", { class: "halo", cx: right, cy: y(last), r: 7 }), svg("circle", { class: "dot", cx: right, cy: y(last), r: 3.5 }));
  }
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  chart.replaceChildren(chart.querySelector("title"), ...drawn);
}

/** Returns the path of a sparkline for a row of the table: 80 by 24. */
function sparkline(points) {
  const prices = points.map(([, cents]) => cents).filter((cents) => cents !== null);
  if (prices.length < 2) return "";
  const [low, high] = [Math.min(...prices), Math.max(...prices)];
  const span = Math.max(1, high - low);
  const x = (at) => (at / (points.length - 1)) * 80;
  const y = (cents) => 22 - ((cents - low) / span) * 20;
  let isCut = true;
  return points.map(([, cents], at) => {
    const step = cents === null ? "" : `${isCut ? "M" : "L"}${x(at).toFixed(1)} ${y(cents).toFixed(1)}`;
    isCut = cents === null;
    return step;
  }).join("");
}

/** Draws a bar for each of the last counts, the latest at the right. */
function drawPulse(pulse, counts) {
  const most = Math.max(1, ...counts);
  const bars = counts.map((count, at) => {
    const height = (count / most) * 16;
    return svg("rect", { x: at * 4, y: 16 - height, width: 3, height });
  });
  pulse.setAttribute("viewBox", `0 0 ${counts.length * 4} 16`);
  pulse.replaceChildren(...bars);
}
