"use strict";
(() => {
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("charts").textContent);
  const plots = [];
  const colour = name => () => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  const button = document.getElementById("theme");
  const name = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", "Use " + button.textContent.toLowerCase() + " colours"); };
  const repaint = () => { name(); plots.forEach(plot => plot.redraw(false, true)); };
  button.hidden = false;
  name();
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; repaint(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);

  const bytes = value => {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let at = 0;
    while (value >= 1000 && at < units.length - 1) { value /= 1000; at++; }
    return +value.toPrecision(3) + " " + units[at];
  };
  const axis = values => ({ stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, values, font: "12px system-ui, sans-serif" });
  const counts = () => Object.assign(axis(), { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] });
  const line = (label, stroke, extra) => Object.assign({ label, stroke: colour(stroke), width: 2, points: { show: false } }, extra);

  /** Dashed upright lines where somebody was excluded, with a label each. */
  const marks = caught => ({ hooks: { draw: [plot => {
    const context = plot.ctx, ratio = devicePixelRatio, box = plot.bbox;
    context.save();
    context.font = 12 * ratio + "px system-ui, sans-serif";
    context.strokeStyle = context.fillStyle = colour("bad")();
    context.setLineDash([4 * ratio, 4 * ratio]);
    caught.slice(0, 5).forEach((mark, row) => {
      const x = Math.round(plot.valToPos(mark.at, "x", true)), right = x > box.left + box.width / 2;
      context.beginPath();
      context.moveTo(x, box.top);
      context.lineTo(x, box.top + box.height);
      context.stroke();
      context.textAlign = right ? "right" : "left";
      context.fillText(mark.label, x + (right ? -6 : 6) * ratio, box.top + (14 + 16 * row) * ratio);
    });
    context.restore();
  }] } });

  const draw = (place, height, options, columns) => {
    const size = () => ({ width: Math.max(280, place.clientWidth), height });
    const plot = new uPlot(Object.assign({ cursor: { drag: { x: true, y: false } }, legend: { live: true } }, size(), options), columns, place);
    new ResizeObserver(() => { if (place.clientWidth && place.clientWidth !== plot.width) plot.setSize(size()); }).observe(place);
    plots.push(plot);
    return plot;
  };

  const loss = document.getElementById("chart-loss");
  if (loss && data.loss.length > 1) {
    const rounds = data.loss.map(point => point[0]), values = data.loss.map(point => point[1]);
    const shades = ["warn", "publish", "audit", "soft"];
    const settled = values[Math.min(values.length - 1, Math.floor(values.length / 8))];
    const known = values.filter(value => value <= settled).concat(data.levels.map(level => level.loss));
    const low = Math.min(...known), high = Math.max(...known), margin = Math.max(0.05 * (high - low), 0.005);
    loss.hidden = false;
    loss.parentElement.querySelector(".still").hidden = true;
    draw(loss, 360, {
      scales: { x: { time: false }, y: { range: [low - margin, high + margin] } },
      axes: [counts(), Object.assign(axis(), { size: 56 })],
      series: [{ label: "rounds completed" }, line("this run", "accent", { width: 2.5, points: { show: true, size: 5 }, value: (plot, value) => value == null ? "" : value.toFixed(4) })].concat(
        data.levels.map((level, index) => line(level.label + " " + level.loss.toFixed(4), shades[index % shades.length], { dash: [6, 4], width: 1.5, value: () => "" }))),
      plugins: [marks(data.caught)],
    }, [rounds, values].concat(data.levels.map(level => rounds.map(() => level.loss))));
  }

  const box = document.getElementById("bytes-box");
  if (box && data.bytes.length > 1) {
    box.hidden = false;
    let drawn = false;
    box.addEventListener("toggle", () => {
      if (drawn || !box.open) return;
      drawn = true;
      const value = (plot, count) => count == null ? "" : bytes(count);
      draw(document.getElementById("chart-bytes"), 300, {
        scales: { x: { time: false }, y: { distr: 3 } },
        axes: [counts(), Object.assign(axis((plot, splits) => splits.map(split => split == null ? "" : bytes(split))), { size: 70 })],
        series: [{ label: "round" }, line("this run", "accent", { value }), line("fp32 AllReduce", "warn", { value, dash: [6, 4] })],
      }, [data.bytes.map(point => point[0]), data.bytes.map(point => point[1]), data.bytes.map(point => point[2])]);
    });
  }

  /** A link into a closed part opens it: every number must lead to its evidence. */
  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let outer = target.closest("details"); outer; outer = outer.parentElement.closest("details")) outer.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();
})();
