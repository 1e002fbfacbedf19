// Shows the figures under the pointer. Each chart brings its own data; without this script the page is whole.
"use strict";
for (const figure of document.querySelectorAll(".chart")) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  if (data.series) follow(figure, figure.querySelector("svg"), data);
}

function follow(figure, svg, data) {
  const { low, high, from, to } = data.x;
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
  cursor.setAttribute("class", "cursor");
  cursor.setAttribute("y1", data.y.from);
  cursor.setAttribute("y2", data.y.to);
  const tip = document.createElement("div");
  tip.className = "tip";

  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const step = nearestStep(data.series, low + ((x - from) / (to - from)) * (high - low));
    if (step === null) return;
    const at = from + ((step - low) / (high - low)) * (to - from);
    cursor.setAttribute("x1", at);
    cursor.setAttribute("x2", at);
    svg.append(cursor);
    tip.textContent = [`step ${step}`, ...valuesAt(data.series, step)].join("\n");
    const isLeft = at < svg.viewBox.baseVal.width / 2;
    tip.style.left = isLeft ? "auto" : "3.6rem";
    tip.style.right = isLeft ? "1rem" : "auto";
    figure.append(tip);
  });
  svg.addEventListener("pointerleave", () => {
    cursor.remove();
    tip.remove();
  });
}

function nearestStep(series, wanted) {
  let nearest = null;
  for (const { points } of series)
    for (const [step] of points)
      if (nearest === null || Math.abs(step - wanted) < Math.abs(nearest - wanted)) nearest = step;
  return nearest;
}

function valuesAt(series, step) {
  const lines = [];
  for (const { name, points } of series) {
    const point = points.find(([at]) => at === step);
    if (!point) continue;
    const value = point[1] === null ? "not finite" : Number(point[1].toPrecision(5)).toString();
    lines.push(series.length > 1 ? `${name}: ${value}` : value);
  }
  return lines;
}
