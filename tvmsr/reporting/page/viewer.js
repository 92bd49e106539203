// Two pictures with a line between them: what is shown of which picture, and where. docs/report.md says how it is used.
const stage = at("stage"), handle = at("handle"), strip = at("strip");
const state = { picture: 0, crop: 0, split: 50, zoom: 1, x: 0, y: 0, view: "slider" };
const KINDS = { worst: "Worst", middle: "Middle", whole: "Whole", centre: "Centre" };
const PLAIN = { whole: "the whole picture", centre: "its centre" };
const SAYS = { worst: "the square that differs most from", middle: "of all squares the middle one by its difference from" };

const key = (side) => at(side).value;
const name = (side) => sources.get(key(side)).name;
const crop = () => report.pictures[state.picture].crops[state.crop];
const image = (side) => at(crop().images[key(side)]);

function place() {
  const width = stage.clientWidth, height = stage.clientHeight, spare = state.zoom - 1;
  state.x = Math.min(0, Math.max(-spare * width, state.x));
  state.y = Math.min(0, Math.max(-spare * height, state.y));
  stage.style.setProperty("--x", `${state.x}px`);
  stage.style.setProperty("--y", `${state.y}px`);
  stage.style.setProperty("--zoom", state.zoom);
  stage.style.setProperty("--split", `${state.split}%`);
  stage.classList.toggle("zoomed", state.zoom > 1);
  stage.classList.toggle("plain", state.zoom === 1 && state.view === "error");
  handle.setAttribute("aria-valuenow", Math.round(state.split));
  handle.setAttribute("aria-valuetext", `${Math.round(state.split)} % ${name("left")}, the rest ${name("right")}`);
}

function figures(side) {
  const row = report.pictures[state.picture].figures[key(side)];
  text(`name-${side}`, name(side)); text(`tag-${side}`, name(side));
  at(`name-${side}`).title = name(side);
  text(`psnr-${side}`, row ? number(row.psnr, 2) : "–");
  text(`ssim-${side}`, row ? number(row.ssim, 4) : "–");
  text(`time-${side}`, duration(row && row.milliseconds));
  text(`choice-${side}`, (row && row.choice) || "–");
  at(`image-${side}`).src = image(side).src;
  at(`image-${side}`).alt = `${name(side)}, ${report.pictures[state.picture].name}`;
  return Boolean(row && row.choice);
}

function cropButtons() {
  const box = at("crops");
  for (const label of box.querySelectorAll("label")) label.remove();
  box.hidden = report.pictures[state.picture].crops.length < 2;
  report.pictures[state.picture].crops.forEach((one, place) => {
    const label = document.createElement("label"), input = document.createElement("input"), word = document.createElement("span");
    Object.assign(input, { type: "radio", name: "crop", value: place, checked: place === state.crop });
    word.textContent = KINDS[one.kind];
    label.append(input, word); box.append(label);
  });
}

function show() {
  const one = crop(), picture = report.pictures[state.picture], against = sources.get(report.reference).name;
  const choices = [figures("left"), figures("right")];
  at("row-choice").hidden = !choices.some(Boolean);
  stage.style.setProperty("--aspect", one.width / one.height);
  const says = PLAIN[one.kind] ?? `${SAYS[one.kind]} ${against}`;
  text("caption", `${picture.name}: ${one.width}×${one.height} pixels at ${one.left}, ${one.top} of ${picture.width * report.scale}×${picture.height * report.scale}, ${says}`);
  at("pane-error").hidden = at("scale").hidden = state.view !== "error";
  handle.hidden = at("tag-left").hidden = at("tag-right").hidden = state.view === "error";
  place();
  const shown = `${state.picture}.${state.crop}.${key("left")}.${key("right")}`;
  compare(image("left"), image("right"), one.width, one.height, () => { stage.dataset.ready = shown; });
}

function zoomTo(zoom) {
  const middle = [stage.clientWidth / 2, stage.clientHeight / 2], factor = zoom / state.zoom;
  state.x = middle[0] - (middle[0] - state.x) * factor;
  state.y = middle[1] - (middle[1] - state.y) * factor;
  state.zoom = zoom;
  place();
}

function setPicture(value) {
  state.picture = value; state.crop = Math.min(state.crop, report.pictures[value].crops.length - 1);
  cropButtons(); show();
}

const splitTo = (value) => { state.split = Math.min(100, Math.max(0, value)); place(); };
const step = (name, by) => {
  const values = [...document.querySelectorAll(`input[name="${name}"]`)].map((input) => input.value);
  choose(name, values[Math.min(values.length - 1, Math.max(0, values.indexOf(chosen(name).value) + by))]);
};
