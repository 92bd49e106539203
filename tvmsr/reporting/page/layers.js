// Bits and algorithm of every layer, as a chart.
const SPACE = "http://www.w3.org/2000/svg", box = at("bars"), select = at("plan");
const HIGH = 150, TOP = 12, SIDE = 58, END = 8, ROW = 48, BAR = 20;
let on = 0;
const algorithms = [...new Set(report.variants.flatMap((v) => v.choices.flatMap((c) => c.layers.map((l) => l.algorithm))))];
const colour = (name) => `s${algorithms.indexOf(name) % 7}`;
const draw = (parent, kind, attributes, words) => {
  const element = document.createElementNS(SPACE, kind);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (words !== undefined) element.textContent = words;
  parent.append(element);
  return element;
};
const current = () => {
  const [variant, choice] = select.value.split(".").map(Number);
  return report.variants[variant].choices[choice].layers;
};
const share = (value, digits) => `${(100 * value).toFixed(digits)} %`;

function say() {
  const rows = current(), layer = rows[on];
  for (const column of box.querySelectorAll(".column")) column.classList.toggle("on", Number(column.dataset.layer) === on);
  const weights = layer.weights === null ? "" : `, ${layer.weights} bits of weights`;
  const saturated = layer.saturation === null ? "" : `, ${share(layer.saturation, 2)} of its codes at an end of their range`;
  text("layer", `${layer.name}: ${layer.activations} bits of activations${weights}, ${layer.algorithm}${layer.shape ? `, ${layer.shape}` : ""}, ${share(layer.macs, 1)} of the multiplications${saturated}. ${layer.why}`);
}

function legend(rows) {
  const made = at("legend");
  made.replaceChildren();
  const item = (kind, attributes, words) => {
    const one = document.createElement("span"), svg = draw(one, "svg", { viewBox: "0 0 10 10", class: "key" });
    draw(svg, kind, attributes); one.append(words); made.append(one);
  };
  for (const name of algorithms.filter((name) => rows.some((row) => row.algorithm === name))) {
    item("rect", { width: 10, height: 10, rx: 2, class: colour(name) }, name);
  }
  item("line", { x1: 0, x2: 10, y1: 5, y2: 5, class: "weights" }, "bits of weights");
}

// Where all of the chart is, for so many layers: sizes in pixels. strips: name, class and value of the bars below.
function plan(rows) {
  const most = Math.max(8, ...rows.map((row) => Math.max(row.activations, row.weights || 0)));
  const step = Math.max(14, Math.min(130, (box.clientWidth - SIDE - END) / rows.length));
  const strips = [["MACs", "macs", (row) => row.macs]];
  if (rows.some((row) => row.saturation > 0)) strips.push(["saturated", "saturated", (row) => row.saturation || 0]);
  const floor = TOP + HIGH, base = (strip) => floor + (strip + 1) * ROW;
  return {
    step, strips, floor, base,
    wide: Math.max(Math.min(step - Math.max(3, step / 5), 64), 6),
    width: SIDE + step * rows.length + END,
    height: base(strips.length - 1) + END,
    tall: (bits) => HIGH * bits / most,
    ticks: Array.from({ length: Math.floor(most / 4) }, (_, i) => 4 * (i + 1)),
    tops: strips.map(([, , value]) => Math.max(...rows.map(value)) || 1),
  };
}

function drawAxes(svg, made) {
  const line = (y) => draw(svg, "line", { x1: SIDE, x2: made.width - END, y1: y, y2: y, class: "axis" });
  const label = (y, words) => draw(svg, "text", { x: SIDE - 6, y, "text-anchor": "end" }, words);
  for (const bits of made.ticks) { line(made.floor - made.tall(bits)); label(made.floor - made.tall(bits) + 4, `${bits} bits`); }
  made.strips.forEach(([words], strip) => { line(made.base(strip)); label(made.base(strip), words); });
  line(made.floor);
}

function drawLayer(svg, made, row, number) {
  const x = SIDE + made.step * number, left = x + (made.step - made.wide) / 2, tall = made.tall(row.activations);
  const column = draw(svg, "g", { class: "column", "data-layer": number });
  draw(column, "rect", { x, y: 0, width: made.step, height: made.height, class: "hit" });
  draw(column, "rect", { x: left, y: made.floor - tall, width: made.wide, height: tall, rx: 2, class: `bits ${colour(row.algorithm)}` });
  if (row.weights !== null) {
    const y = made.floor - made.tall(row.weights);
    draw(column, "line", { x1: left - 2, x2: left + made.wide + 2, y1: y, y2: y, class: "weights" });
  }
  made.strips.forEach(([, kind, value], strip) => {
    const size = BAR * value(row) / made.tops[strip];
    draw(column, "rect", { x: left, y: made.base(strip) - size, width: made.wide, height: size, class: kind });
  });
  for (const event of ["pointerenter", "click"]) column.addEventListener(event, () => { on = number; say(); });
}

function chart() {
  const rows = current(), made = plan(rows), { width, height } = made;
  on = Math.min(on, rows.length - 1);
  box.replaceChildren();
  const svg = draw(box, "svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" });
  drawAxes(svg, made);
  rows.forEach((row, number) => drawLayer(svg, made, row, number));
  legend(rows);
  say();
}

box.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
  if (!by) return;
  on = Math.min(current().length - 1, Math.max(0, on + by));
  say();
  box.querySelector(".column.on").scrollIntoView({ block: "nearest", inline: "nearest" });
  event.preventDefault();
});
select.addEventListener("change", chart);
let seen = 0;
new ResizeObserver(() => { if (box.clientWidth !== seen) { seen = box.clientWidth; chart(); } }).observe(box);
chart();
