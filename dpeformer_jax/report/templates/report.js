"use strict";
// Shows the queries of the page, and filters them. The data come from report/browser.py.

const data = JSON.parse(document.getElementById("data").textContent);
const form = document.getElementById("filters");
const list = document.getElementById("list");
const more = document.getElementById("more");
const PAGE = 24; // queries that are shown at once
let found = [];

function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function fillFilters() {
  const cameras = [...new Set(data.queries.map((query) => query.camera))];
  cameras.sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  data.sets.forEach((name, place) => form.elements.set.add(new Option(name, place)));
  data.views.forEach((name, place) => form.elements.view.add(new Option(name, place)));
  form.elements.view.value = "0";
  cameras.forEach((name) => form.elements.camera.add(new Option(name, name)));
  document.getElementById("set-filter").hidden = data.sets.length < 2;
  form.querySelector(".check").hidden = !data.queries.some((query) => query.kept);
  if (!data.queries.some((query) => query.first > 1)) form.elements.outcome.value = "";
}

function fits(query) {
  const wanted = form.elements;
  const failed = query.first > 1;
  const text = wanted.text.value.trim().toLowerCase();
  return (
    (wanted.outcome.value === "" || (wanted.outcome.value === "failed") === failed) &&
    (wanted.set.value === "" || Number(wanted.set.value) === query.set) &&
    (wanted.view.value === "" || Number(wanted.view.value) === query.view) &&
    (wanted.camera.value === "" || wanted.camera.value === query.camera) &&
    (text === "" || query.who.toLowerCase() === text || query.name.toLowerCase().includes(text))
  );
}

function apply() {
  found = data.queries.filter(fits);
  list.replaceChildren();
  list.classList.toggle("show-patches", form.elements.patches.checked);
  const left = data.full ? " Of the last ones the page holds no pictures, to stay small." : "";
  document.getElementById("count").textContent =
    `${found.length} of ${data.queries.length} queries.${left}`;
  showMore();
}

function showMore() {
  const shown = list.children.length;
  found.slice(shown, shown + PAGE).forEach((query) => list.append(item(query)));
  more.hidden = list.children.length >= found.length;
}

function item(query) {
  const made = element("li");
  const head = [`${query.who}, camera ${query.camera}: first match at rank ${query.first}`];
  head.push(`average precision ${percent(query.precision)} %`);
  if (data.views.length > 1) head.push(data.views[query.view]);
  if (data.sets.length > 1) head.push(data.sets[query.set]);
  query.others.forEach(([first, precision], place) => {
    if (first !== null) head.push(`${data.runs[place]}: rank ${first}, ${percent(precision)} %`);
  });
  made.append(element("h3", head.join("; ")));
  const row = element("div", "", "row");
  row.tabIndex = 0;
  row.setAttribute("role", "group");
  row.setAttribute("aria-label", `Query ${query.name} and its answers`);
  const told = ["query", query.name.split("/").pop()];
  if (query.kept) told.push(`kept ${ones(query.kept).length} of ${data.grid.rows * data.grid.columns}`);
  row.append(tile(query, "query", told));
  query.answers.forEach((answer, place) => row.append(answerTile(answer, place)));
  made.append(row, explanation(query));
  return made;
}

function answerTile(answer, place) {
  const image = { ...data.gallery[answer.image], right: answer.right };
  const judged = answer.verdict ? ` ${answer.verdict}` : "";
  const told = [`${answer.rank}: ${answer.distance.toFixed(3)}${judged}`];
  told.push(`${image.who}, cam ${image.camera}`);
  // The first right answer stands apart where others lie between.
  const gap = answer.rank > place + 1 ? "gap" : "";
  return tile(image, `${answer.right ? "right" : "wrong"} ${gap}`, told);
}

function tile(picture, kind, lines) {
  const made = element("figure", "", `tile ${kind}`);
  const frame = element("span", "", "frame");
  const role = kind === "query" ? "Query" : picture.right ? "Right answer" : "Wrong answer";
  if (picture.picture >= 0) {
    const image = element("img");
    image.loading = "lazy";
    image.alt = `${role}: ${picture.who} by camera ${picture.camera}, ${picture.name}`;
    image.src = `data:image/webp;base64,${data.pictures[picture.picture]}`;
    frame.append(image);
    if (picture.kept) frame.append(patches(picture.kept));
  } else {
    frame.append(element("span", "", "missing"));
  }
  if (kind !== "query") {
    const mark = element("span", picture.right ? "✓" : "✗", "mark");
    mark.setAttribute("aria-hidden", "true");
    frame.append(mark);
  }
  const caption = element("figcaption");
  lines.forEach((line, place) => caption.append(...(place ? [element("br")] : []), line));
  made.append(frame, caption);
  return made;
}

// Returns the places of the bits that are set: a bit of the hexadecimal digits is a patch.
function ones(kept) {
  const bits = [...kept].map((digit) => parseInt(digit, 16).toString(2).padStart(4, "0")).join("");
  return [...bits].flatMap((bit, place) => (bit === "1" ? [place] : []));
}

// Marks the kept patches.
function patches(kept) {
  const { columns, stride, patch, width, height } = data.grid;
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  ones(kept).forEach((number) => {
    const cell = document.createElementNS(space, "rect");
    cell.setAttribute("x", (number % columns) * stride + (patch - stride) / 2);
    cell.setAttribute("y", Math.floor(number / columns) * stride + (patch - stride) / 2);
    cell.setAttribute("width", stride);
    cell.setAttribute("height", stride);
    svg.append(cell);
  });
  return svg;
}

function explanation(query) {
  const made = element("details");
  made.append(element("summary", "What the distances are made of"));
  made.addEventListener("toggle", () => {
    if (!made.open || made.children.length > 1) return;
    const values = query.pairs.flatMap((told) => Object.values(told.pieces));
    const side = element("div", "", "pairs"); // side by side, on one scale
    side.append(...query.pairs.map((told) => pair(told, Math.max(...values, 1e-9))));
    made.append(side);
  });
  return made;
}

function pair(told, most) {
  const table = element("table", "", "pair");
  const judged = told.verdict ? `, ${told.verdict}` : "";
  const title = `${told.told}, rank ${told.rank}: distance ${told.distance.toFixed(3)}${judged}`;
  table.append(element("caption", title));
  Object.entries(told.pieces).forEach(([name, value]) => {
    const row = table.insertRow();
    const head = element("th", name);
    head.scope = "row";
    const bar = element("span", "", "bar");
    bar.style.width = `${(100 * value) / most}%`;
    row.append(head);
    row.insertCell().append(bar);
    row.insertCell().append(value.toFixed(3));
  });
  return table;
}

function percent(share) {
  return (100 * share).toFixed(1);
}

fillFilters();
apply();
// A browser prints no picture that it has not loaded yet.
addEventListener("beforeprint", () => {
  document.querySelectorAll("img").forEach((image) => (image.loading = "eager"));
});
form.addEventListener("input", apply);
form.addEventListener("submit", (event) => event.preventDefault());
more.addEventListener("click", () => {
  const next = list.children.length;
  showMore();
  list.children[next]?.querySelector(".row").focus();
});
